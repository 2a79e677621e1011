"""This fleet's units: what systemd says of them, and the digests of their files."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Tuple

from deployer.agent import files, paths, wire
from deployer.agent.system import System
from deployer.agent.times import iso


def is_marked(text: bytes, fleet_id: str) -> bool:
    """One of the first lines is a comment with the fleet's id in it."""
    head = text.split(b"\n", wire.HEADER_LINES)[: wire.HEADER_LINES]
    wanted = re.compile(rb"(?<![\w-])" + re.escape(fleet_id.encode()) + rb"(?![\w-])")
    return any(line.startswith(b"#") and wanted.search(line) for line in head)


class UnitFiles:
    """Unit files whose names begin with the fleet's prefix: ours by their mark, the others foreign."""

    def __init__(self, system: System, fleet: wire.Fleet) -> None:
        self.digests: Dict[str, str] = {}
        self.own: List[str] = []
        self.foreign: List[str] = []
        self.unreadable: List[str] = []
        for name in _names(system, paths.unit_prefix(fleet)):
            path = "%s/%s" % (wire.UNITS, name)
            try:
                text = files.read(system, path)
            except OSError:
                self.unreadable.append(path)
                self.own.append(name)
                continue
            if text is None:
                continue
            if not is_marked(text, fleet["id"]):
                self.foreign.append(name)
                continue
            self.own.append(name)
            self.digests[path] = files.digest(system, path)


def _names(system: System, prefix: str) -> List[str]:
    try:
        names = os.listdir(system.path(wire.UNITS))
    except OSError:
        return []
    return sorted(
        n for n in names if n.startswith(prefix) and paths.UNIT.match(n) and not os.path.isdir(system.path(wire.UNITS + "/" + n))
    )


def units(system: System, found: UnitFiles, shown: Any) -> List[Dict[str, Any]]:
    """`shown` is what systemctl.ask gave; a unit of which it says nothing is "unknown"."""
    boot = system.now() - system.clock()
    return [_unit(name, shown.get(name), boot) for name in found.own]


def _unit(name: str, properties: Any, boot: float) -> Dict[str, Any]:
    if properties is None:
        return {"name": name, "active": "unknown", "sub": "unknown", "result": "unknown", "enabled": False, "dropins": []}
    since = _int(properties.get("StateChangeTimestampMonotonic"))
    return {
        "name": name,
        "active": properties.get("ActiveState", "unknown"),
        "sub": properties.get("SubState", "unknown"),
        "result": properties.get("Result", ""),
        "exit_status": _int(properties.get("ExecMainStatus")),
        "restarts": _int(properties.get("NRestarts")),
        "since": iso(boot + since / 1e6) if since else None,
        "pid": _int(properties.get("MainPID")),
        "enabled": properties.get("UnitFileState") == "enabled",
        "memory": _int(properties.get("MemoryCurrent")) or None,
        "dropins": own_dropins(name, properties),
    }


def own_dropins(name: str, properties: Dict[str, str]) -> List[str]:
    """Drop-ins made for this very unit; those of all services are the host's business."""
    return sorted(path for path in properties.get("DropInPaths", "").split() if "/%s.d/" % name in path)


def dropin_digests(system: System, found: UnitFiles, shown: Any) -> Tuple[Dict[str, str], List[str]]:
    """Digests of drop-ins by path, and those that could not be read."""
    digests, unreadable = {}, []
    for name in found.own:
        for path in own_dropins(name, shown.get(name) or {}):
            try:
                digests[path] = files.digest(system, path)
            except OSError:
                unreadable.append(path)
    return digests, unreadable


def control_groups(found: UnitFiles, shown: Any) -> Dict[str, str]:
    return {n: shown[n]["ControlGroup"] for n in found.own if shown.get(n, {}).get("ControlGroup")}


def _int(text: Any) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        return 0
