"""GPUs as NVML sees them, through pynvml, which travels beside the agent. Every call of it may be missing or fail."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Optional

from deployer.agent.facts import gpulinks
from deployer.agent.system import System

AGAIN_S = 10.0
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


def nothing(gpu_error: Optional[str] = None) -> Dict[str, Any]:
    """What `read` gives of a host without GPUs, or of which none can be seen."""
    return {"gpus": [], "gpu_links": [], "gpu_error": gpu_error, "driver": None, "cuda": None}


def read(system: System) -> Dict[str, Any]:
    """{"gpus", "gpu_links", "gpu_error", "driver", "cuda"}. A host without NVML has no GPUs, which is no error."""
    try:
        pynvml = _load(system)
    except (ImportError, OSError) as error:
        return nothing(gpu_error="NVML is there but cannot be used: %s" % error)
    if pynvml is None:
        return nothing()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return nothing(gpu_error=str(error))
    try:
        return _inventory(pynvml)
    finally:
        _maybe(pynvml, pynvml.nvmlShutdown)


def _load(system: System) -> Any:
    """pynvml, ready to be initialised; None on a host without NVML. Raises ImportError and OSError."""
    found = library(system)
    if found is None:
        return None
    if os.sep in found:
        import ctypes

        ctypes.CDLL(found, mode=ctypes.RTLD_GLOBAL)  # outside the loader's path: the name is then known
    import pynvml

    return pynvml


class Reader:
    """NVML kept open, for figures again and again. A driver that went away is opened anew, at most every AGAIN_S."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._nvml: Any = None
        self._known: List[Any] = []  # (handle, what never changes)
        self._tried = -1e9

    def read(self) -> List[Dict[str, Any]]:
        """[{"uuid", "index", "name", "memory_total", "memory_used", "utilization", "temperature"}]; what fails is left out."""
        if not self._known and not self._open():
            return []
        found = [one for one in (self._one(handle, fixed) for handle, fixed in self._known) if one is not None]
        if len(found) < len(self._known):
            self._close()
        return found

    def _open(self) -> bool:
        now = self._system.clock()
        if now - self._tried < AGAIN_S:
            return False
        self._tried = now
        try:
            nvml = _load(self._system)
        except (ImportError, OSError):
            return False
        if nvml is None:
            return False
        try:
            nvml.nvmlInit()
        except nvml.NVMLError:
            return False
        self._nvml = nvml
        for index in range(_maybe(nvml, nvml.nvmlDeviceGetCount) or 0):
            handle = _maybe(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
            uuid = _maybe(nvml, nvml.nvmlDeviceGetUUID, handle) if handle is not None else None
            if uuid is not None:
                self._known.append((handle, {"uuid": uuid, "index": index, "name": _maybe(nvml, nvml.nvmlDeviceGetName, handle)}))
        return bool(self._known)

    def _one(self, handle: Any, fixed: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        nvml = self._nvml
        memory = _maybe(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
        if memory is None:
            return None
        used = _maybe(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
        return dict(
            fixed,
            memory_total=memory.total,
            memory_used=memory.used,
            utilization=used.gpu if used else None,
            temperature=_maybe(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        )

    def _close(self) -> None:
        self._known = []
        _maybe(self._nvml, self._nvml.nvmlShutdown)


def _inventory(nvml: Any) -> Dict[str, Any]:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return nothing(gpu_error=str(error))
    cuda = _maybe(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    gpus, errors, handles = [], [], {}
    for index in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            gpu = _gpu(nvml, handle, index)
            gpus += [gpu, *(gpulinks.slices(nvml, handle, gpu) if gpu["mig"] else ())]
            handles[index] = handle
        except nvml.NVMLError as error:
            errors.append("GPU %d: %s" % (index, error))
    return {
        "gpus": gpus,
        "gpu_links": gpulinks.links(nvml, handles),
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


def _gpu(nvml: Any, handle: Any, index: int) -> Dict[str, Any]:
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
