"""The CUDA that an environment's pinned wheels are made for, against the host's driver and its GPUs. Called by preflight.

Within one major version of CUDA a wheel runs on any driver of that version ("minor version compatibility"), but what is compiled
on the host at run time (PTX) is not promised to. Another major version does not start: docs.nvidia.com/deploy/cuda-compatibility.
"""

import re
from collections.abc import Iterator, Sequence

from deployer.plan.model import Finding
from deployer.plan.preflight.finding import REFUSE, WARN
from deployer.plan.preflight.subject import Subject
from deployer.plan.target import fitting_target
from deployer.plan.world import World
from deployer.state.observed import Reached

Version = tuple[int, int | None]

#: The least driver of each version, from NVIDIA's table of minor version compatibility.
DRIVERS = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
#: CUDA 13 has no code for what is older than Turing; 12.8 is the first that has some for Blackwell.
TURING, SINCE_TURING = (7, 5), 13
BLACKWELL, SINCE_BLACKWELL = (10, 0), (12, 8)

_RUNTIME = re.compile(r"^(nvidia-cuda-runtime(?:-cu\d+)?|cuda-toolkit)==(\d+)\.(\d+)", re.M)
_BUILD = re.compile(r"^(torch)==\S+\+cu(\d\d)(\d+)\b", re.M)
_NAMED = re.compile(r"^(nvidia-[a-z0-9-]+-cu(\d\d))==", re.M)


def cuda_of(text: str) -> tuple[str, Version] | None:
    """Which pinned package says it, and what: (major, minor), the minor only where it is known."""
    if found := _RUNTIME.search(text) or _BUILD.search(text):
        return found[1], (int(found[2]), int(found[3]))
    found = _NAMED.search(text)
    return (found[1], (int(found[2]), None)) if found else None


def findings(world: World, found: Sequence[Subject]) -> Iterator[Finding]:
    pinned = _Pinned(world)
    for subject in found:
        said = pinned.of(subject) if subject.place.gpus else None
        if said is not None:
            yield from _driver(world, subject, *said)
            yield from _capability(world, subject, *said)


class _Pinned:
    """The CUDA of what serves: of each environment on each host looked up once, and each text read once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._there: dict[tuple[str, str], tuple[str, Version] | None] = {}
        self._read: dict[str, tuple[str, Version] | None] = {}

    def of(self, subject: Subject) -> tuple[str, Version] | None:
        needs = self._world.engines[subject.spec.engine.name].environments(subject.spec)
        if not needs:
            return None
        key = needs[0].name, subject.place.host
        if key not in self._there:
            self._there[key] = self._look(needs[0].name, subject.reached)
        return self._there[key]

    def _look(self, name: str, reached: Reached) -> tuple[str, Version] | None:
        locked = self._world.locked.environments.get(name)
        target, _ = fitting_target(locked.targets if locked else {}, reached.probe)
        if target is None:
            return None
        if target.digest not in self._read:
            self._read[target.digest] = cuda_of(target.text)
        return self._read[target.digest]


def _driver(world: World, subject: Subject, package: str, wanted: Version) -> Iterator[Finding]:
    has, driver, host = subject.reached.probe.get("cuda"), subject.reached.probe.get("driver"), subject.place.host
    if not has:
        return
    there = _numbers(has)
    if wanted[0] < there[0] or (wanted[0] == there[0] and (wanted[1] or 0) <= there[1]):
        return
    named = f"{wanted[0]}.{wanted[1]}" if wanted[1] is not None else str(wanted[0])
    what = f"{subject.place.deployment} is pinned for CUDA {named} ({package}); the driver {driver} of {host} goes up to {has}"
    source = subject.source(world, "engine")
    where = (host, subject.place.deployment, source)
    if wanted[0] > there[0] and not _brings_its_own(subject):
        why = "CUDA of a newer major version does not initialise on this driver: the engine would end at its start"
        do = f"a driver from {DRIVERS.get(wanted[0], 'a newer branch')} on, or a version of the engine built for CUDA {there[0]}"
        yield Finding("cuda", REFUSE, what, why, do, *where)
    elif wanted[0] > there[0]:
        why = "it starts only with the compatibility libraries that engine.env names, and only on GPUs for data centres"
        yield Finding("cuda", WARN, what, why, f"a driver from {DRIVERS.get(wanted[0], 'a newer branch')} on", *where)
    else:
        why = "wheels run all the same, but kernels that are compiled on the host (PTX) may be refused by the driver"
        yield Finding("cuda", WARN, what, why, f"a driver that says CUDA {named} (nvidia-smi shows it at the top)", *where)


def _brings_its_own(subject: Subject) -> bool:
    """Forward compatibility: libcuda of a newer version beside an older module (VLLM_ENABLE_CUDA_COMPATIBILITY, cuda-compat)."""
    env = getattr(subject.spec.engine.settings, "env", None) or {}
    return any("compat" in name.lower() or "compat" in str(value).lower() for name, value in env.items())


def _capability(world: World, subject: Subject, package: str, wanted: Version) -> Iterator[Finding]:
    host, name, said = subject.place.host, subject.place.deployment, set[str]()
    for gpu in subject.reached.probe.get("gpus", []):
        capability = gpu.get("capability")
        if gpu["uuid"] not in subject.place.gpus or not capability or capability in said:
            continue
        where = (host, name, subject.source(world, "engine"))
        said.add(capability)
        can, which = _numbers(capability), f"{gpu.get('name') or 'a GPU'} of {host} (compute capability {capability})"
        if wanted[0] >= SINCE_TURING and can < TURING:
            what = f"{name} is pinned for CUDA {wanted[0]} ({package}), which has no code for {which}"
            why = "CUDA 13 and newer compute on Turing (7.5) and newer only"
            yield Finding("cuda-gpu", REFUSE, what, why, "a version of the engine built for CUDA 12, or another GPU", *where)
        elif can >= BLACKWELL and wanted[1] is not None and (wanted[0], wanted[1]) < SINCE_BLACKWELL:
            what = f"{name} is pinned for CUDA {wanted[0]}.{wanted[1]} ({package}), which is older than {which}"
            why = "its libraries have no code for this GPU: “no kernel image is available”, or minutes of compiling at the start"
            yield Finding("cuda-gpu", WARN, what, why, "a version of the engine built for CUDA 12.8 or newer", *where)


def _numbers(text: str) -> tuple[int, int]:
    parts = [int(part) for part in text.split(".") if part.isdigit()]
    return (parts[0] if parts else 0, parts[1] if len(parts) > 1 else 0)
