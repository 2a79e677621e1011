"""What must be true after every cell, as problems in words. Used by matrix.py.

The journal is held against the host: what it says is done is done, what it says is undone stands as before.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from deployer.agent import wire
from tests.lab.faults.bench import FLEET, Bench
from tests.lab.faults.cells import StepAt
from tests.lab.faults.operations import SUBJECT

Events = Sequence[Mapping[str, Any]]


def report_of(events: Events) -> Mapping[str, Any] | None:
    return next((e for e in reversed(events) if e["type"] == "report"), None)


#: The worst first: what is said of a deployment whose transactions (one per wave) ended differently.
_STATES = ("undo-failed", "kept", "undone", "skipped", "pending", "done")


def state_of(report: Mapping[str, Any] | None, deployment: str, transaction: str | None = None) -> str:
    """A report's word for a deployment, or for one transaction of it; "lost" when there is no report, "absent" when the run had
    nothing of it.
    """
    if report is None:
        return "lost"
    found = report["transactions"]
    mine = [
        str(t["state"]) for name, t in found.items() if wire.deployment_of(name) == deployment and transaction in (None, name)
    ]
    return min(mine, key=_STATES.index, default="absent")


def all_undone(report: Mapping[str, Any] | None, deployment: str) -> bool:
    found = [
        t["state"]
        for name, t in (report or {"transactions": {}})["transactions"].items()
        if wire.deployment_of(name) == deployment
    ]
    return bool(found) and set(found) <= {"undone", "skipped"}


def last_words(request: Mapping[str, Any], events: Events) -> list[tuple[Mapping[str, Any], str]]:
    """Each step that was begun and the last that the journal says of it, in the order in which they were begun."""
    last: dict[str, str] = {}
    for event in events:
        if event["type"] == "step" and event.get("state") != "progress":
            last[event["step"]] = event["state"]
    steps = {s["id"]: s for t in request["transactions"] for s in t["steps"]}
    return [(steps[i], state) for i, state in last.items() if i in steps]


def untrue(bench: Bench, runs: Iterable[tuple[Mapping[str, Any], Events]]) -> list[str]:
    """Steps that the journals call done and that are not so on the host. What a later step did to the same thing counts, also
    that of a later run: replicas that were replaced already go back when the next one failed. Where one was begun and nothing
    says how it ended, nothing is said of the thing.
    """
    latest: dict[str, Mapping[str, Any]] = {}
    for request, events in runs:
        for step, state in last_words(request, events):
            if state == "done":
                latest[_thing(step)] = step
            elif state == "start":
                latest.pop(_thing(step), None)
    return [f"the journal says done, the host does not: {s['id']} {s['label']}" for s in latest.values() if not _holds(bench, s)]


def _thing(step: Mapping[str, Any]) -> str:
    args = step["args"]
    if step["kind"] == "record":
        return f"record {args['deployment']}"
    if step["kind"] in ("unit.enable", "unit.disable"):
        return f"enabled {args['unit']}"
    return str(args.get("path") or step["id"])


def _holds(bench: Bench, step: Mapping[str, Any]) -> bool:
    kind, args = step["kind"], step["args"]
    if kind == "file.write" and "content" in args:
        path = bench.path(args["path"])
        return path.is_file() and path.read_text() == args["content"]
    if kind in ("file.remove", "artifact.remove", "tree.remove"):
        path = bench.path(args["path"])
        return not path.is_file() and (not path.is_dir() or kind == "file.remove")
    if kind in ("unit.enable", "unit.disable"):
        wants = bench.path(f"{wire.UNITS}/multi-user.target.wants/{args['unit']}")
        return wants.is_symlink() == (kind == "unit.enable")
    if kind in ("tool.install", "env.build", "model.push", "model.download", "model.convert", "model.copy"):
        return bench.path(f"{args['path']}/{wire.MARKER}").is_file()
    if kind == "record":
        path = bench.path(f"{wire.ROOT_STATE}/{FLEET}/{args['deployment']}/current.json")
        return path.is_file() == (args["record"] is not None)
    return True


def leftovers(bench: Bench) -> list[str]:
    """Files under a temporary name."""
    folders = [bench.path(p) for p in (wire.UNITS, f"{wire.ROOT_ETC}/{FLEET}", f"{wire.ROOT_STATE}/{FLEET}")]
    found = [p for folder in folders for p in folder.rglob(".*.deployer-*")]
    return [f"left behind: {p.relative_to(bench.files)}" for p in found]


def stops_serving(request: Mapping[str, Any], events: Events, promised: bool) -> float | None:
    """When the plan itself takes the subject out of service: seconds since the epoch, None when it never does (or did not
    come to it). Where the strategy has `promised` that somebody always answers, only a destroy does.
    """
    steps = [s for t in request["transactions"] if t["deployment"] == SUBJECT for s in t["steps"]]
    gone = any(s["kind"] == "record" and s["args"]["record"] is None for s in steps)
    takes = {s["id"] for s in steps if s["kind"] == "unit.stop" and not promised}
    if gone:  # from the first touch of the route on
        takes = {s["id"] for s in steps}
    for event in events:
        if event["type"] == "step" and event["state"] == "start" and event["step"] in takes:
            return seconds(event["at"])
    return None


def seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def next_barrier(request: Mapping[str, Any], stage: str) -> str | None:
    """The silence of the barrier that a run meets after this stage; None when it has nothing left to do then."""
    used = sorted({s["stage"] for t in request["transactions"] for s in t["steps"]}, key=wire.stage_rank)
    later = [other for other in used if wire.stage_rank(other) > wire.stage_rank(stage)]
    return str(request["barriers"][later[0]]["silence"]) if later else None


def begun(events: Events, transaction: str) -> bool:
    return any(e["type"] == "step" and e["tx"] == transaction and e["state"] == "start" for e in events)


def normal(text: str) -> str:
    """The same for the two directions of an operation: digests and which of two models are not told."""
    return re.sub(r"tiny-[ab]", "tiny-x", re.sub(r"\b[0-9a-f]{7,64}\b", "#", text))


def key(step: StepAt) -> str:
    return f"{normal(step.id)} {step.kind}"
