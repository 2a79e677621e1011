"""What stands on a host for one fleet, read again and again at little cost: a file is read anew only when its stamp has
changed. Called by `watch` once per tick.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from deployer.agent import files, journal, lock, paths, runs, wire
from deployer.agent.facts import state, units
from deployer.agent.system import System

Stamp = Optional[Tuple[int, int, int]]


class Replica(NamedTuple):
    name: str  # "chat/0"
    port: Optional[int]


class Standing:
    """`look` reads; the rest is what the last look found."""

    def __init__(self, system: System, fleet: wire.Fleet) -> None:
        self.units: List[str] = []  # this fleet's, the gateway's included
        self.replicas: Dict[str, Replica] = {}  # by unit
        self.phases: Dict[str, str] = {}  # by unit: what a starting one does, as the run that starts it says
        self._system = system
        self._fleet = fleet
        self._read: Dict[str, Tuple[Stamp, Any]] = {}
        self._runs: Dict[str, _Run] = {}
        self._marks: List[Any] = []

    def look(self) -> None:
        self._marks = []
        self._look_at_runs()
        base = paths.state(self._fleet)
        if self._cached("%s/%s" % (base, wire.FLEET_FILE), lambda _: state.name_conflict(self._system, self._fleet)):
            self.units, self.replicas, self.phases = [], {}, {}
            return
        marked = self._unit_files()
        recorded = self._records(base)
        self.units = sorted(marked)
        self.replicas = {}
        for unit, said in marked.items():
            name, port = recorded.get(unit, (said, None))
            if name:
                self.replicas[unit] = Replica(name, port or self._started_on(unit))
        self.phases = {unit: phase for run in self._runs.values() for unit, phase in run.phases.items()}

    def digest(self, shown: Any) -> str:
        """Changes when something that a status or a plan rests on may have changed. `shown`: what systemd and others say
        beside the files. What the lock's holder does at the moment is not in it: that changes with every step.
        """
        holder = lock.holder(self._system)
        held = None if holder is None else [holder.get("run"), holder.get("fleet"), holder.get("since")]
        text = repr([self._marks, held, shown])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def _stamp(self, path: str) -> Stamp:
        try:
            found = os.stat(self._system.path(path))
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _cached(self, path: str, read: Callable[[str], Any]) -> Any:
        """What `read` makes of the file, made again when it has changed. Its stamp goes into the digest."""
        stamp = self._stamp(path)
        self._marks.append((path, stamp))
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, None if stamp is None else read(path))
        return known[1]

    def _unit_files(self) -> Dict[str, str]:
        """Unit → replica ("" for the gateway's) as the files themselves say."""
        found = {}
        for name in state.listing(self._system, wire.UNITS):
            if not name.startswith(paths.unit_prefix(self._fleet)):
                continue
            path = "%s/%s" % (wire.UNITS, name)
            if name.endswith(".d"):
                self._marks.append((path, self._stamp(path)))
            elif paths.UNIT.match(name):
                said = self._cached(path, self._unit_file)
                if said is not None:
                    found[name] = said
        for name in files.walk(self._system, paths.etc(self._fleet)):
            path = "%s/%s" % (paths.etc(self._fleet), name)
            self._marks.append((path, self._stamp(path)))
        return found

    def _unit_file(self, path: str) -> Optional[str]:
        """None for a file that is not this fleet's."""
        try:
            text = files.read(self._system, path)
        except OSError:
            return None
        if text is None or not units.is_marked(text, self._fleet["id"]):
            return None
        said = dict(re.findall(r"^(Deployment|Slot)=(.*)$", text.decode("utf-8", "replace"), re.M))
        return "%s/%s" % (said["Deployment"], said["Slot"]) if len(said) == 2 else ""

    def _records(self, base: str) -> Dict[str, Tuple[str, Optional[int]]]:
        found: Dict[str, Tuple[str, Optional[int]]] = {}
        self._marks.append((base, self._stamp(base + "/roster.json")))
        for name in state.listing(self._system, base):
            folder = "%s/%s" % (base, name)
            if paths.DEPLOYMENT.match(name):
                found.update(self._cached(folder + "/current.json", self._record) or {})
                self._marks.append((name, self._stamp(folder + "/failure.json")))
        return found

    def _record(self, path: str) -> Dict[str, Tuple[str, Optional[int]]]:
        try:
            record = files.read_json(self._system, path)
        except OSError:
            return {}
        found: Dict[str, Tuple[str, Optional[int]]] = {}
        for resource in (record.get("resources") or []) if isinstance(record, dict) else []:
            payload = resource.get("payload") or {}
            if resource.get("kind") == "replica" and payload.get("unit"):
                found[str(payload["unit"])] = (str(resource.get("name")), payload.get("port"))
        return found

    def _look_at_runs(self) -> None:
        known = {}
        for run_id in state.listing(self._system, wire.ROOT_RUNS):
            run = self._runs.get(run_id) or self._new_run(run_id)
            if run is not None:
                known[run_id] = run
                run.read(self._system)
                self._marks.append(run.mark(self._system))
        self._runs = known

    def _new_run(self, run_id: str) -> Optional[_Run]:
        """None for what is no run, or none yet: its directory comes before its request."""
        asked = runs.request(self._system, run_id) if paths.RUN.match(run_id) else None
        return None if asked is None else _Run(run_id, asked, self._fleet["id"])

    def _started_on(self, unit: str) -> Optional[int]:
        """The port of a unit that no record knows yet, as the run that starts it says."""
        return next((run.ports[unit] for run in self._runs.values() if unit in run.ports), None)


def doing(system: System, run_id: str, fleet: wire.Fleet) -> Dict[str, Any]:
    """What a run that is alive does. "starting": unit → {"phase", "since"}; "converting": {"phase", "since", "deployments"} of a
    model that is converted now, and for whom.
    """
    asked = runs.request(system, run_id)
    if asked is None:
        return {"starting": {}}
    run = _Run(run_id, asked, fleet["id"])
    run.read(system)
    found: Dict[str, Any] = {}
    found["starting"] = {unit: {"phase": said, "since": run.since.get(unit)} for unit, said in run.phases.items()}
    return dict(found, converting=run.converting) if run.converting else found


def _conversions(asked: Dict[str, Any]) -> Dict[str, List[str]]:
    """Step that converts a model → the deployments that need it here."""
    transactions = asked.get("transactions") or []
    needed: Dict[str, List[str]] = {}
    for tx in transactions:
        for need in tx.get("needs") or [] if tx.get("deployment") else []:
            needed.setdefault(str(need), []).append(str(tx["deployment"]))
    kinds = [
        (str(step.get("id")), str(tx["id"])) for tx in transactions for step in tx["steps"] if step["kind"] == "model.convert"
    ]
    return {step: sorted(set(needed.get(tx, []))) for step, tx in kinds}


class _Run:
    """A run's journal, read as it grows. One of another fleet is passed over."""

    def __init__(self, run_id: str, asked: Dict[str, Any], fleet_id: str) -> None:
        self.run_id = run_id
        self.phases: Dict[str, str] = {}
        self.ports: Dict[str, int] = {}
        self.since: Dict[str, Any] = {}
        self._ours = (asked.get("fleet") or {}).get("id") == fleet_id
        self.converting: Optional[Dict[str, Any]] = None
        self._units: Dict[str, str] = {}  # step → unit
        self._offset = 0
        self._stage: Optional[str] = None
        self._begun = self._ended = False
        self._conversions = _conversions(asked) if self._ours else {}
        for step in [step for tx in asked.get("transactions") or [] for step in tx.get("steps") or []] if self._ours else []:
            if step.get("kind") == "unit.ready":
                unit = str(step["args"].get("unit"))
                self._units[str(step.get("id"))] = unit
                if isinstance(step["args"].get("port"), int):
                    self.ports[unit] = step["args"]["port"]

    def mark(self, system: System) -> Any:
        return (
            self.run_id,
            self._stage,
            self._begun,
            self._ended,
            self.converting is not None,
            runs.is_settled(system, self.run_id),
        )

    def read(self, system: System) -> None:
        if not self._ours or self._ended:
            return
        try:
            with open(system.path(journal.path_of(self.run_id)), "rb") as file:
                file.seek(self._offset)
                events, self._offset = journal.lines(file.read(), self._offset)
        except OSError:
            return
        for event in events:
            self._take(event)

    def _take(self, event: Dict[str, Any]) -> None:
        if event["type"] == "report":
            self._ended = True
            self.phases, self.ports, self.converting = {}, {}, None
        elif event["type"] == "barrier":
            self._stage = event.get("stage")
        elif event["type"] == "step":
            self._begun = True
            self._convert(event)
            unit = self._units.get(str(event.get("step")))
            if unit is None:
                return
            if event.get("state") == "start":
                self.since[unit] = event.get("at")
            if event.get("state") in ("start", "progress"):
                self.phases[unit] = phase(event.get("data") or {})
            else:
                self.phases.pop(unit, None)

    def _convert(self, event: Dict[str, Any]) -> None:
        whose = self._conversions.get(str(event.get("step")))
        if whose is None:
            return
        if event.get("state") == "start":
            self.converting = {"phase": "converting", "since": event.get("at"), "deployments": whose}
        elif event.get("state") == "progress" and self.converting is not None:
            self.converting["phase"] = phase(event.get("data") or {})
        else:
            self.converting = None


def phase(data: Dict[str, Any]) -> str:
    """What a step says of its progress, for people: "loading shards 5 of 15"."""
    said = str(data.get("phase") or "starting")
    if data.get("total") and data.get("unit") == "bytes":
        return "%s, %d %%" % (said, 100 * data.get("done", 0) // data["total"])
    return "%s %s of %s" % (said, data["done"], data["total"]) if data.get("total") else said
