"""What an engine says of memory when it starts, and what it then holds: noted with the start (starts.py), taken by the next plan.

The lines come from the engine as data, like its phases and failures. Used by `unit.ready`; nothing rests on it.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Optional

from deployer.agent import files
from deployer.agent.facts.ports import unit_of
from deployer.agent.system import System

_FOLDS: Dict[str, Callable[[float, float], float]] = {"max": max, "min": min, "sum": lambda one, other: one + other}


class Figures:
    """`wanted`: {"name", "regex" with the group "number", "scale", "fold"}; "fold" says which of several lines counts: else the
    last.
    """

    def __init__(self, wanted: List[Dict[str, Any]]) -> None:
        self._wanted = wanted
        self._found: Dict[str, float] = {}

    def forget(self) -> None:
        """Another process began."""
        self._found = {}

    def take(self, line: str) -> None:
        for one in self._wanted:
            match = re.search(one["regex"], line)
            number = _number(match.group("number")) if match else None
            if number is None:
                continue
            value, name = number * float(one.get("scale") or 1), str(one["name"])
            fold = _FOLDS.get(str(one.get("fold")))
            self._found[name] = fold(self._found[name], value) if fold and name in self._found else value

    def found(self) -> Dict[str, float]:
        """Whole numbers, but for "concurrency"."""
        return {name: value if name == "concurrency" else int(value) for name, value in sorted(self._found.items())}


def _number(text: Optional[str]) -> Optional[float]:
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None


def held(system: System, control_group: str, gpus: List[str], unit: Optional[str] = None) -> Dict[str, int]:
    """{"host", "gpu"} in bytes: what the unit's processes hold of the host's memory (not what the kernel caches for them), and
    the most that is used of one of these GPUs; with `unit`, which others share them with, by its processes alone. What cannot be
    read is left out.
    """
    found: Dict[str, int] = {}
    mine = _resident(system, control_group) if control_group else None
    if mine:
        found["host"] = mine
    mine_of = [gpu for gpu in system.gpus()["gpus"] if gpu.get("uuid") in gpus] if gpus else []
    used: List[Any] = [gpu.get("memory_used") if unit is None else _own(system, gpu, unit) for gpu in mine_of]
    if used and all(isinstance(one, int) and one > 0 for one in used):
        found["gpu"] = max(used)
    return found


def _own(system: System, gpu: Dict[str, Any], unit: str) -> Optional[int]:
    """What the processes of one unit hold of a GPU. None: the driver does not say it of one of them."""
    memory = [p.get("memory") for p in gpu.get("processes") or [] if unit_of(system, int(p["pid"])) == unit]
    known = [one for one in memory if isinstance(one, int)]
    return sum(known) if len(known) == len(memory) else None


def _resident(system: System, control_group: str) -> Optional[int]:
    try:
        said = files.read(system, "/sys/fs/cgroup%s/memory.stat" % control_group)
    except OSError:
        return None
    pairs = (line.split() for line in (said or b"").decode("ascii", "replace").splitlines())
    counted = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    return sum(counted.get(name, 0) for name in ("anon", "file_mapped", "shmem")) or None
