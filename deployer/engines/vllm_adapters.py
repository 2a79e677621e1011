"""LoRA adapters of vLLM: its options, what of them needs a new process, and which adapters it cannot take. For engines.vllm.

How many adapters there are and which they are is no part of a running process: vLLM is told over its own API on loopback (step
unit.adapters). What it reserves room for when it starts is: the highest rank, and how many one batch may mix.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deployer.engines.base import Adapter, Complaint
from deployer.engines.vllm_settings import VllmSettings
from deployer.spec.models import AdapterSpec, DeploymentSpec
from deployer.state.locked import LockedModel

#: Ranks that vLLM 0.32 can be started for (config/lora.py: MaxLoRARanks); 16 is its own default.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
LEAST_RANK = 16
#: Adapters that one batch may mix; others wait or are swapped in. vLLM's own default is 1.
AT_ONCE = 4
#: Without it the paths that load an adapter do not exist. vLLM warns that who reaches them may load any folder: the engine
#: listens on loopback, and the gateway's list of paths does not have them.
ENV = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
_FILES = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")


def enabled(deployment: DeploymentSpec, s: VllmSettings) -> bool:
    """With `args: {enable_lora: true}` the first adapter needs no new process."""
    return bool(deployment.adapters) or _given(s, "enable-lora") is True


def options(deployment: DeploymentSpec, s: VllmSettings, adapters: Sequence[Adapter]) -> dict[str, Any]:
    if not enabled(deployment, s):
        return {}
    found: dict[str, Any] = {"enable-lora": True, "max-lora-rank": str(_rank(s, adapters)), "max-loras": _at_once(s)}
    if adapters:
        found["lora-modules"] = [json.dumps({"name": a.name, "path": a.path}, ensure_ascii=False) for a in adapters]
    return found


def runtime(deployment: DeploymentSpec, s: VllmSettings, adapters: Sequence[Adapter]) -> str | None:
    """What a running process has reserved, as a person sees it in a diff."""
    return f"rank {_rank(s, adapters)}, {_at_once(s)} at once" if enabled(deployment, s) else None


def reserved(deployment: DeploymentSpec, s: VllmSettings, highest: int) -> tuple[int, int]:
    """(rank, adapters at once) that room is kept for on the GPU; (0, 0): none. `highest`: the highest rank of the adapters."""
    if not enabled(deployment, s):
        return 0, 0
    return _reserved(s) or _fitting(highest), _at_once(s)


def complaints(deployment: DeploymentSpec, s: VllmSettings) -> Iterator[Complaint]:
    if deployment.adapters and _given(s, "enable-lora") is False:
        yield Complaint(("engine", "vllm", "args"), "enable_lora is off, and there are adapters", "leave it out")
    servers = _given(s, "api-server-count")
    if deployment.adapters and isinstance(servers, int) and servers > 1:
        what = "several API servers cannot be told of an adapter at once"
        yield Complaint(("engine", "vllm", "args"), what, "api_server_count: 1, or leave it out")


def check(
    deployment: DeploymentSpec, s: VllmSettings, number: int, base: LockedModel | None, adapter: LockedModel
) -> Iterator[Complaint]:
    """One adapter against its model, by what the lock knows of both."""
    said, here = deployment.adapters[number], ("adapters", number)
    facts = adapter.facts.adapter
    if facts is None:
        yield Complaint(here, f"{adapter.name} is no adapter: it has no adapter_config.json")
        return
    if not any(f.path in _FILES for f in adapter.files):
        yield Complaint(here, f"{adapter.name} has no weights", f"one of {', '.join(_FILES)}")
    if facts.unusual:
        what = f"{adapter.name} is more than a plain LoRA, and vLLM cannot serve it: {', '.join(facts.unusual)}"
        yield Complaint(here, what, "merge it into the model, or train it without these")
    yield from _ranks(s, here, adapter.name, facts.rank)
    yield from _trained_on(said, here, base, adapter.name, facts.base)


def _ranks(s: VllmSettings, here: tuple[str | int, ...], name: str, rank: int | None) -> Iterator[Complaint]:
    most = _reserved(s)
    if rank is None:
        yield Complaint(here, f"{name} does not say its rank (r in adapter_config.json)")
    elif rank > RANKS[-1]:
        yield Complaint(here, f"{name} has rank {rank}, and vLLM can do {RANKS[-1]} at most")
    elif most is not None and rank > most:
        what = f"{name} has rank {rank}, and max_lora_rank is {most}"
        yield Complaint(("engine", "vllm", "args"), what, f"max_lora_rank: {_fitting(rank)}, or leave it out")


def _trained_on(
    said: AdapterSpec, here: tuple[str | int, ...], base: LockedModel | None, name: str, trained: str | None
) -> Iterator[Complaint]:
    """A model is the same under another organisation or folder: mirrors and checkouts are common."""
    if trained is None or base is None or _short(trained) == _short(base.name):
        return
    if said.base is None or _short(said.base) != _short(trained):
        what = f"{name} was trained on {trained}, and this deployment serves {base.name}"
        yield Complaint((*here, "base") if said.base else here, what, f"if that is meant, write in the adapter: base: {trained}")


def _short(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].lower()


def _rank(s: VllmSettings, adapters: Sequence[Adapter]) -> int:
    return _reserved(s) or _fitting(max((a.rank or 0 for a in adapters), default=0))


def _fitting(rank: int) -> int:
    return next((known for known in RANKS if known >= max(rank, LEAST_RANK)), RANKS[-1])


def _reserved(s: VllmSettings) -> int | None:
    given = _given(s, "max-lora-rank")
    return int(given) if isinstance(given, int | str) and str(given).isdigit() else None


def _at_once(s: VllmSettings) -> int:
    given = _given(s, "max-loras")
    return given if isinstance(given, int) and not isinstance(given, bool) else AT_ONCE


def _given(s: VllmSettings, option: str) -> Any:
    args: Mapping[str, Any] = {name.removeprefix("--").replace("_", "-"): value for name, value in s.args.items()}
    return args.get(option)
