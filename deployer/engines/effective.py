"""What an engine really computes in on a machine, where that is not simply what was asked. Called by plan.computing, which
never asks which engine it is. An engine that is not here does as it is told, or says so itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from deployer.engines import ctranslate2_kinds, ctranslate2_settings, ctranslate2_types
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel


class Machine(NamedTuple):
    """`vendor` of its CPU; `capabilities` of the GPUs that a replica has. None: the host does not say."""

    arch: str
    vendor: str | None
    capabilities: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Computes:
    """`type` None: it cannot be told, or it does not start at all (`refused`). `why`: of what was not expected."""

    type: str | None
    asked: str
    why: str | None = None
    refused: bool = False
    setting: tuple[str, ...] = ()  # where in the YAML it was asked


def tells(engine: str) -> bool:
    """Whether anything is said of this engine."""
    return engine in _READERS


def computes(deployment: DeploymentSpec, model: LockedModel | None, machine: Machine) -> Computes | None:
    """None: nothing is to be said of this engine."""
    read = _READERS.get(deployment.engine.name)
    return read(deployment, model, machine) if read else None


def _ctranslate2(deployment: DeploymentSpec, model: LockedModel | None, machine: Machine) -> Computes:
    s = ctranslate2_settings.settings_of(deployment)
    asked = s.compute_type
    path = ("engine", "ctranslate2", "compute_type" if asked != "default" or s.quantization is None else "quantization")
    if model is not None and model.facts.quantization == "awq":
        return Computes("float16", asked, "the weights stay in AWQ's 4 bits", setting=path)
    saved = None
    if model is not None and not ctranslate2_kinds.converted(model):
        saved = ctranslate2_types.saved_type(s.quantization, model.facts)
    said = saved if asked == "default" and saved is not None else asked
    found = []
    for device in _devices(machine, s.env):
        if device is None:
            return Computes(None, said, "the host does not say what its GPUs can", setting=path)
        found.append(ctranslate2_types.resolve(asked, saved, device))
    worst = next((one for one in found if one.refused), found[0])
    return Computes(worst.compute_type, said, worst.why, worst.refused, path)


def _devices(machine: Machine, env: Mapping[str, str]) -> list[ctranslate2_types.Device | None]:
    if not machine.capabilities:
        return [ctranslate2_types.cpu(machine.arch, machine.vendor, env)]
    return [ctranslate2_types.gpu(said, env) if said else None for said in dict.fromkeys(machine.capabilities)]


_READERS: Mapping[str, Callable[[DeploymentSpec, LockedModel | None, Machine], Computes]] = {"ctranslate2": _ctranslate2}
