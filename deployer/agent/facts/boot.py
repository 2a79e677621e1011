"""What the next boot brings, and what only a boot would bring: kernels and the NVIDIA driver. Only files are read."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Dict, List, Optional

from deployer.agent import files
from deployer.agent.facts.nvml import LIBRARY, PLACES
from deployer.agent.system import System

MODULES = ("/lib/modules", "/usr/lib/modules")
#: Where distributions and DKMS put the driver's module below a kernel's folder.
NVIDIA = ("updates/dkms", "updates", "extra", "weak-updates", "kernel/drivers/video", "kernel/nvidia", "video")


def boot(system: System, running: str) -> Dict[str, Any]:
    """A wire.Boot."""
    found: Dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        found["uptime_s"] = float((files.read(system, "/proc/uptime") or b"").split()[0])
    root, kernels = _kernels(system)
    if kernels:
        found["kernel_newest"] = kernels[-1]
        found["kernel_gone"] = running not in kernels
    loaded = _loaded(system)
    if loaded is not None:
        found["nvidia_loaded"] = loaded
        installed = _installed(system)
        if installed is not None:
            found["nvidia_installed"] = installed
        if kernels:
            found["nvidia_module"] = _has_module(system, "%s/%s" % (root, kernels[-1]))
    return found


def _kernels(system: System) -> Any:
    """The folder, and the kernels in it that have their modules, oldest first."""
    for root in MODULES:
        try:
            names = os.listdir(system.path(root))
        except OSError:
            continue
        whole = [n for n in names if os.path.exists(system.path("%s/%s/modules.dep" % (root, n)))]
        return root, sorted(whole, key=_age)
    return "", []


def _age(name: str) -> List[Any]:
    """6.1.0-9 before 6.1.0-10."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name) if part]


def _loaded(system: System) -> Optional[str]:
    try:
        text = files.read(system, "/proc/driver/nvidia/version") or b""
    except OSError:
        return None
    matched = re.search(rb"NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return matched.group(1).decode() if matched else None


def _installed(system: System) -> Optional[str]:
    """libnvidia-ml.so.1 leads to libnvidia-ml.so.580.65.06."""
    for place in PLACES:
        name = os.path.basename(os.path.realpath(system.path("%s/%s" % (place, LIBRARY))))
        matched = re.match(r"libnvidia-ml\.so\.(\d+\.\d+(?:\.\d+)?)\Z", name)
        if matched:
            return matched.group(1)
    return None


def _has_module(system: System, kernel: str) -> bool:
    for place in NVIDIA:
        try:
            names = os.listdir(system.path("%s/%s" % (kernel, place)))
        except OSError:
            continue
        if any(re.match(r"nvidia\.ko(\.\w+)?\Z", name) for name in names):
            return True
    try:
        listed = files.read(system, kernel + "/modules.dep") or b""
    except OSError:
        return False
    return re.search(rb"(?:^|/)nvidia\.ko", listed, re.M) is not None
