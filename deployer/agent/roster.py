"""`roster`: writes the fleet's roster when it is newer than the one that is here."""

from __future__ import annotations

import fcntl
import os
from typing import Any, Dict

from deployer.agent import files, paths, wire
from deployer.agent.facts.state import name_conflict
from deployer.agent.system import System
from deployer.agent.talk import Talk


def roster(system: System, request: Dict[str, Any], talk: Talk) -> None:
    """Says {"type": "roster", "written", "generation", "holds"}: the generation that is here now, and whether its holds are
    those that were brought. Raises Refusal.
    """
    fleet = paths.check_fleet(request["fleet"])
    wanted = request["roster"]
    own_fleet(system, fleet)
    path = paths.state(fleet) + "/roster.json"
    folder = os.open(system.path(paths.state(fleet)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two applies may bring one at the same time
        there = files.read_json(system, path)
        before = int(there.get("generation", 0)) if isinstance(there, dict) else 0
        newer = there is None or int(wanted.get("generation", 0)) > before
        if newer:
            files.write_json(system, path, wanted)
    finally:
        os.close(folder)
    generation = wanted.get("generation", 0) if newer else before
    talk.say({"type": "roster", "written": newer, "generation": generation, "holds": newer or _holds(there) == _holds(wanted)})


def _holds(roster: Any) -> Any:
    found = roster if isinstance(roster, dict) else {}
    return [found.get("holds") or {}, found.get("cordons") or {}]


def own_fleet(system: System, fleet: wire.Fleet) -> None:
    """The fleet's directory with its header. Raises Refusal when another fleet has that name here."""
    conflict = name_conflict(system, fleet)
    if conflict is not None:
        raise paths.Refusal("another fleet, with the id %s, has the name %s on this host" % (conflict, fleet["name"]))
    files.make_directories(system, wire.ROOT_STATE)
    files.make_directories(system, paths.state(fleet))
    header = "%s/%s" % (paths.state(fleet), wire.FLEET_FILE)
    if files.read(system, header) is None:
        files.write_json(system, header, {"id": fleet["id"], "name": fleet["name"]})
