"""What a plan rests on, as short digests: two fingerprints are equal when nothing moved that a plan would care about.

Free memory, disk, load and time are not in it; they are preconditions of steps.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List

from deployer.agent import systemctl, wire

#: What a person is told when a part differs.
WORDS = {
    "units": "the fleet's units (started, stopped, enabled, or new drop-ins)",
    "files": "the fleet's files",
    "records": "the revisions recorded on this host",
    "artifacts": "the artifacts in use",
    "runs": "an unfinished run",
    "holds": "the holds",
    "roster": "this host's slots in the roster",
}


def fingerprint(probe: Dict[str, Any], fleet: wire.Fleet) -> str:
    """12 hex digits for each of wire.FINGERPRINT_PARTS, joined by "-". `probe` is the probe without it."""
    parts = _parts(probe, fleet)
    return "-".join(_digest(parts[name]) for name in wire.FINGERPRINT_PARTS)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def moved(before: str, now: str) -> List[str]:
    """What differs, in words."""
    old, new = before.split("-"), now.split("-")
    if len(old) != len(wire.FINGERPRINT_PARTS):
        return ["the plan was made by another version of deployer"]
    return [WORDS[name] for name, a, b in zip(wire.FINGERPRINT_PARTS, old, new) if a != b]  # noqa: B905  (Python 3.9)


def _parts(probe: Dict[str, Any], fleet: wire.Fleet) -> Dict[str, Any]:
    roster = probe.get("roster") or {}
    return {
        "units": [[u["name"], u["active"] in systemctl.UP, u.get("enabled"), u.get("dropins")] for u in probe["units"]],
        "files": [probe["files"], probe.get("unreadable"), probe.get("foreign_units")],
        "records": {name: [r.get("revision"), r.get("resources"), r.get("secrets")] for name, r in probe["records"].items()},
        "artifacts": [[a["path"], a["complete"]] for a in probe["artifacts"] if fleet["id"] in a["fleets"]],
        "runs": sorted(r["run"] for r in probe["unfinished"] if not r["alive"]),
        "holds": {**(roster.get("holds") or {}), **{"host " + n: c for n, c in (roster.get("cordons") or {}).items()}},
        "roster": _own_entries(roster, probe.get("machine_id")),
    }


def _own_entries(roster: Dict[str, Any], machine_id: Any) -> Any:
    """Slots of this host. It knows its name in the fleet by its machine-id."""
    names = {name for name, member in (roster.get("hosts") or {}).items() if member.get("machine_id") == machine_id}
    slots = [
        [deployment, number, slot]
        for deployment, numbered in sorted((roster.get("slots") or {}).items())
        for number, slot in sorted(numbered.items())
        if slot.get("host") in names
    ]
    return [sorted(names), slots]
