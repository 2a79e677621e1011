"""How long replicas took to start, how long nobody answered while one was replaced, and what memory they then held: noted by the
steps of a run, kept beside the record, told by the probe. The planner says from it what the next start will take (plan/starts.py)
and whether it fits (plan/measured.py).

Nothing rests on it: what cannot be noted is left out, and no run fails by it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from deployer.agent import files
from deployer.agent.context import Context
from deployer.agent.system import System
from deployer.agent.times import iso

FILE = "starts.json"
KEPT = 20  # of one deployment
TOLD = 5  # of them, to the planner


def stopping(ctx: Context) -> None:
    """A replica begins to stop. Counts only when its successor has not started yet."""
    noted = _noted(ctx)
    if "start" not in noted:
        noted["stop"] = ctx.system.clock()


def starting(ctx: Context) -> None:
    _noted(ctx)["start"] = ctx.system.clock()


def answers(ctx: Context, memory: Optional[Dict[str, Any]] = None) -> None:
    """The replica answered an inference on its own port. `memory`: what it said of that and holds (figures.py)."""
    noted = _noted(ctx)
    if "start" in noted:
        noted.update(unit=ctx.args.get("unit"), up=ctx.system.clock(), at=iso(ctx.system.now()))
        if memory:
            noted["memory"] = memory


def endpoint_answers(ctx: Context) -> None:
    """The endpoint did not answer yet when it was asked first, and does now: until then its clients had no answer."""
    now = ctx.system.clock()
    for noted in ctx.shared.starts.get(_deployment(ctx), {}).values():
        if "up" in noted and "served" not in noted:
            noted["served"] = now


def keep(ctx: Context, folder: str, record: Dict[str, Any]) -> None:
    """Adds what this run noted of the record's deployment to what is known."""
    noted = ctx.shared.starts.pop(_deployment(ctx), {})
    found = [_entry(one, record) for _, one in sorted(noted.items()) if "up" in one]
    if not found:
        return
    try:
        known = read(ctx.system, folder)
        files.write_json(ctx.system, "%s/%s" % (folder, FILE), [*known, *found][-KEPT:])
    except OSError:
        return  # a full disk takes the expectation, not the revision


def read(system: System, folder: str) -> List[Dict[str, Any]]:
    """Oldest first. Raises OSError when it is there and cannot be read."""
    found = files.read_json(system, "%s/%s" % (folder, FILE))
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _entry(noted: Dict[str, Any], record: Dict[str, Any]) -> Dict[str, Any]:
    entry = {"at": noted["at"], "revision": record.get("revision"), "start_s": round(noted["up"] - noted["start"], 1)}
    if "stop" in noted:
        entry["down_s"] = round(noted.get("served", noted["up"]) - noted["stop"], 1)
    if "memory" in noted:
        entry["memory"] = noted["memory"]
    entry.update(_about(noted.get("unit"), record))
    return entry


def _about(unit: Any, record: Dict[str, Any]) -> Dict[str, Any]:
    """What was started, by the names that the record shows."""
    for resource in record.get("resources") or []:
        if (resource.get("payload") or {}).get("unit") == unit:
            shown = {one.get("name"): one.get("value") for one in resource.get("attributes") or []}
            return {name: shown[name] for name in ("engine", "environment", "model") if shown.get(name)}
    return {}


def _noted(ctx: Context) -> Dict[str, Any]:
    """Of the change that this step is part of: one replica."""
    of_deployment: Dict[str, Dict[str, Any]] = ctx.shared.starts.setdefault(_deployment(ctx), {})
    return of_deployment.setdefault(str(ctx.step.get("change")), {})


def _deployment(ctx: Context) -> str:
    return str(ctx.transaction.get("deployment"))
