"""GPUs as NVML sees them, through pynvml, which travels beside the agent. Every call of it may be missing or fail."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Optional

from deployer.agent.system import System

LIBRARY = "libnvidia-ml.so.1"
PLACES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
)


def library(system: System) -> Optional[str]:
    """Whether the loader would find NVML, without starting ldconfig or loading anything; its name or path."""
    for place in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        if place and os.path.exists(os.path.join(place, LIBRARY)):
            return LIBRARY
    try:
        with open("/etc/ld.so.cache", "rb") as file:
            if LIBRARY.encode() in file.read():
                return LIBRARY
    except OSError:
        pass
    for place in PLACES:
        if os.path.exists(os.path.join(place, LIBRARY)):
            return os.path.join(place, LIBRARY)
    return None


def read(system: System) -> Dict[str, Any]:
    """{"gpus", "gpu_error", "driver", "cuda"}. A host without NVML has no GPUs, which is no error."""
    nothing: Dict[str, Any] = {"gpus": [], "gpu_error": None, "driver": None, "cuda": None}
    found = library(system)
    if found is None:
        return nothing
    try:
        if os.sep in found:
            import ctypes

            ctypes.CDLL(found, mode=ctypes.RTLD_GLOBAL)  # outside the loader's path: the name is then known
        import pynvml
    except (ImportError, OSError) as error:
        return dict(nothing, gpu_error="NVML is there but cannot be used: %s" % error)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return dict(nothing, gpu_error=str(error))
    try:
        return _inventory(pynvml, nothing)
    finally:
        _maybe(pynvml, pynvml.nvmlShutdown)


def _inventory(nvml: Any, nothing: Dict[str, Any]) -> Dict[str, Any]:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return dict(nothing, gpu_error=str(error))
    cuda = _maybe(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    gpus, errors = [], []
    for index in range(count):
        try:
            gpus.append(_gpu(nvml, index))
        except nvml.NVMLError as error:
            errors.append("GPU %d: %s" % (index, error))
    return {
        "gpus": gpus,
        "gpu_error": "; ".join(errors) or None,
        "driver": _maybe(nvml, nvml.nvmlSystemGetDriverVersion),
        "cuda": "%d.%d" % (cuda // 1000, cuda % 1000 // 10) if cuda else None,
    }


def _maybe(nvml: Any, call: Callable[..., Any], *args: Any) -> Any:
    """None for what this driver does not know or does not tell."""
    try:
        return call(*args)
    except (nvml.NVMLError, AttributeError):
        return None


def _gpu(nvml: Any, index: int) -> Dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    used = _maybe(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    capability = _maybe(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    mig = _maybe(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return {
        "index": index,
        "uuid": nvml.nvmlDeviceGetUUID(handle),
        "name": nvml.nvmlDeviceGetName(handle),
        "memory_total": memory.total,
        "memory_used": memory.used,
        "utilization": used.gpu if used else None,
        "temperature": _maybe(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        "capability": "%d.%d" % tuple(capability) if capability else None,
        "mig": bool(mig and mig[0]),
        "processes": _processes(nvml, handle),
    }


def _processes(nvml: Any, handle: Any) -> List[Dict[str, Any]]:
    found = {}
    for call in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        for process in _maybe(nvml, call, handle) or ():
            found[process.pid] = {"pid": process.pid, "memory": process.usedGpuMemory}
    return [found[pid] for pid in sorted(found)]
