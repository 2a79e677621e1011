"""systemd's answers as values. Called by the probe, the steps on units, and by whoever asks if a run is alive."""

from __future__ import annotations

from typing import Dict, Optional, Sequence

from deployer.agent.system import Done, System

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "StateChangeTimestampMonotonic",
    "MainPID",
    "UnitFileState",
    "DropInPaths",
    "ControlGroup",
    "InvocationID",
    "MemoryCurrent",
)

#: What somebody who only watches asks for. Time goes on in a simulated host when somebody asks for more.
GLANCE = ("Id", "ActiveState", "SubState", "NRestarts", "StateChangeTimestampMonotonic", "UnitFileState")

UP = frozenset({"active", "activating", "reloading", "refreshing"})


def show(system: System, units: Sequence[str], properties: Sequence[str] = PROPERTIES) -> Optional[Dict[str, Dict[str, str]]]:
    """Properties of units by name, in one call. None when systemd could not be asked."""
    if not units:
        return {}
    try:
        done = system.run(["systemctl", "show", "--no-pager", "-p", ",".join(properties), "--", *units], timeout=15)
    except OSError:
        return None
    found: Dict[str, Dict[str, str]] = {}
    for block in done.out.decode("utf-8", "replace").split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines())
        told = {key: value for key, _, value in pairs}
        if "Id" in told:
            found[told["Id"]] = told
    return found if done.rc == 0 or found else None


def show_one(system: System, unit: str) -> Dict[str, str]:
    """Empty when systemd could not be asked."""
    found = show(system, [unit]) or {}
    return found.get(unit) or (next(iter(found.values())) if found else {})


def is_up(properties: Dict[str, str]) -> bool:
    return properties.get("ActiveState") in UP


def call(system: System, *words: str, timeout: float = 60) -> Done:
    return system.run(["systemctl", *words], timeout=timeout)
