"""How the GPUs of a host are joined, each two of them, and the slices MIG has cut one into, as NVML says it. Called by nvml."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from deployer.agent import wire

Ask = Callable[..., Any]  # (name of a call, arguments): its answer, None for what this driver does not know


def asking(nvml: Any) -> Ask:
    def ask(name: str, *args: Any) -> Any:
        try:
            return getattr(nvml, name)(*args)
        except (nvml.NVMLError, AttributeError):
            return None

    return ask


def links(nvml: Any, handles: Dict[int, Any]) -> List[List[int]]:
    """[[index, index, way]]: NVLINK, also through a switch; else NVML's level of what they have in common, from 10 (one PCIe
    switch) to 50 (two sockets). What the driver does not say is left out.
    """
    ask, found = asking(nvml), []
    for first in sorted(handles):
        for second in sorted(other for other in handles if other > first):
            pair = handles[first], handles[second]
            joined = ask("nvmlDeviceGetP2PStatus", *pair, nvml.NVML_P2P_CAPS_INDEX_NVLINK)
            way = wire.NVLINK if joined == nvml.NVML_P2P_STATUS_OK else ask("nvmlDeviceGetTopologyCommonAncestor", *pair)
            if way is not None:
                found.append([first, second, int(way)])
    return found


def slices(nvml: Any, handle: Any, gpu: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The MIG devices of a GPU as GPUs of their own. How busy one is NVML does not say; heat is the GPU's."""
    ask, found = asking(nvml), []
    for number in range(ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        one = ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        memory = ask("nvmlDeviceGetMemoryInfo", one) if one is not None else None
        uuid = ask("nvmlDeviceGetUUID", one) if one is not None else None
        if memory is None or uuid is None:
            continue
        found.append(
            dict(
                gpu,
                uuid=uuid,
                name=_name(ask, one, gpu["name"]),
                memory_total=memory.total,
                memory_used=memory.used,
                utilization=None,
                mig=False,
                slice=number,
                parent=gpu["uuid"],
                processes=_processes(ask, one),
            )
        )
    return found


def _name(ask: Ask, one: Any, whole: str) -> str:
    """With its profile, as in "NVIDIA A100-SXM4-80GB MIG 1g.10gb": not every driver's name has it."""
    name: Optional[str] = ask("nvmlDeviceGetName", one)
    if name and "MIG" in name:
        return name
    said = ask("nvmlDeviceGetAttributes_v2", one)
    if said is None:
        return "%s MIG" % whole
    return "%s MIG %dg.%dgb" % (whole, said.gpuInstanceSliceCount, int(round(said.memorySizeMB / 1024.0)))


def _processes(ask: Ask, one: Any) -> List[Dict[str, Any]]:
    running = ask("nvmlDeviceGetComputeRunningProcesses", one) or ()
    return [{"pid": process.pid, "memory": process.usedGpuMemory} for process in sorted(running, key=lambda p: p.pid)]
