"""The runs that this host remembers: which are unfinished, which may be forgotten. Called by probe, start and work."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from deployer.agent import files, journal, paths, systemctl, wire
from deployer.agent.system import System

KEPT = 20

#: Report states of a transaction that leave something behind.
OPEN_STATES = frozenset({"kept", "undo-failed"})


def ids(system: System) -> List[str]:
    """Oldest first."""
    base = system.path(wire.ROOT_RUNS)
    try:
        found = [name for name in os.listdir(base) if paths.RUN.match(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda name: (_made(base, name), name))


def _made(base: str, name: str) -> float:
    for file in ("request.json", "journal.jsonl", ""):
        try:
            return os.stat(os.path.join(base, name, file)).st_mtime
        except OSError:
            continue
    return 0.0


def request(system: System, run_id: str) -> Optional[Dict[str, Any]]:
    """What was asked, without its secrets."""
    found = files.read_json(system, paths.run(run_id) + "/request.json")
    return found if isinstance(found, dict) else None


def deployments(asked: Dict[str, Any]) -> List[str]:
    """Those that a request is about."""
    return sorted({t["deployment"] for t in asked.get("transactions") or [] if t.get("deployment")})


def settle(system: System, run_id: str, how: str) -> None:
    """What the run left is dealt with: it is not unfinished any more, and what would undo it is not needed."""
    files.write_json(system, paths.run(run_id) + "/settled.json", {"how": how}, 0o600)
    files.remove_tree(system, paths.run(run_id) + "/undo")


def heard(system: System, run_id: str) -> float:
    """When the controller last gave a word, by the system's clock; 0 when it never did."""
    found = files.read(system, paths.run(run_id) + "/heard")
    try:
        return float(found or b"0")
    except ValueError:
        return 0.0


def is_settled(system: System, run_id: str) -> bool:
    return os.path.exists(system.path(paths.run(run_id) + "/settled.json"))


def describe(system: System, run_id: str) -> Dict[str, Any]:
    """{"run", "plan", "who", "since", "stage", "deployments", "fleet", "finished", "begun", "result"}; `finished` is False
    while something of it may be left. Whether it is alive only systemd knows.
    """
    asked = request(system, run_id) or {}
    events = journal.read(system, run_id)
    report = next((e for e in reversed(events) if e["type"] == "report"), None)
    begun = any(e["type"] == "step" and e.get("state") == "start" for e in events)
    stage = next((e["stage"] for e in reversed(events) if e["type"] == "barrier"), None)
    left = report is None and begun
    if report is not None:
        left = any(t.get("state") in OPEN_STATES for t in report.get("transactions", {}).values())
    if is_settled(system, run_id):
        left = False
    return {
        "run": run_id,
        "plan": asked.get("plan"),
        "who": asked.get("who"),
        "since": events[0]["at"] if events else None,
        "stage": stage,
        "deployments": deployments(asked),
        "fleet": (asked.get("fleet") or {}).get("id"),
        "finished": not left,
        "begun": begun,
        "ended": report is not None,
        "result": report.get("result") if report else None,
    }


def listing(system: System, fleet: Optional[str] = None) -> List[Dict[str, Any]]:
    """Every run that is remembered, of one fleet (by id) or of all, oldest first, each with "alive"."""
    found = [describe(system, run_id) for run_id in ids(system)]
    found = [one for one in found if fleet is None or one["fleet"] == fleet]
    up = living(system, [one["run"] for one in found if not one["ended"]])
    for one in found:
        one["alive"] = one["run"] in up
    return found


def living(system: System, run_ids: Sequence[str]) -> Set[str]:
    """Which of these runs are alive, or may be."""
    shown = systemctl.show(system, [paths.run_unit(run_id) for run_id in run_ids])
    return {run_id for run_id in run_ids if lives(run_id, shown)}


def lives(run_id: str, shown: Optional[Mapping[str, Dict[str, str]]]) -> bool:
    """By what systemd shows; None, when it could not be asked: it may. One that was killed lives on while what it had begun is
    undone (see recover.py).
    """
    if shown is None:
        return True
    return shown.get(paths.run_unit(run_id), {}).get("ActiveState", "inactive") not in ("inactive", "failed")


def forget_old(system: System, keep: int = KEPT) -> None:
    """Removes what is remembered of old runs, never of one that is alive or unfinished."""
    old = ids(system)[:-keep]
    asked = [describe(system, run_id) for run_id in old]
    up = living(system, old)
    for one in asked:
        if one["finished"] and one["run"] not in up:
            files.remove_tree(system, paths.run(one["run"]))
