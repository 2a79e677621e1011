"""`probe`: everything the planner may ask, in one process that starts one other (systemctl). Also read again by a run
under the lock, to see whether the world moved since the plan was made.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from deployer.agent import files, lock, paths, peers, runs, systemctl, wire
from deployer.agent.facts import artifacts, machine, nvml, ports, standing, state, units
from deployer.agent.fingerprint import fingerprint
from deployer.agent.system import System
from deployer.agent.times import iso


def probe(system: System, request: Any, own_run: Optional[str] = None) -> Dict[str, Any]:
    """A wire.Probe for a wire.ProbeRequest. `own_run`: the run that asks; it is not an unfinished one to itself.
    Raises Silent.
    """
    fleet = paths.check_fleet(request["fleet"])
    overrides = request.get("paths") or {}
    found: Dict[str, Any] = {"at": iso(system.now())}
    found.update(machine.machine(system, overrides))
    remembered = [one for one in _runs(system, fleet) if one["run"] != own_run]
    unit_files = units.UnitFiles(system, fleet)
    waiting = [paths.run_unit(one["run"]) for one in remembered if not one["ended"]]
    # who cannot say whether a unit is up must not seem to say that it is down: the host counts as one that does not answer
    shown = systemctl.ask(system, [*unit_files.own, *waiting])
    found.update(_units(system, fleet, unit_files, shown))
    found.update(_state(system, fleet, request.get("history") or []))
    found["unreadable"] = sorted(found["unreadable"] + found.pop("unreadable_units"))
    found["artifacts"] = artifacts.artifacts(system, overrides, bool(request.get("verify")))
    found["host_paths"] = artifacts.host_paths(system, request.get("host_paths") or [])
    found["unfinished"] = [_unfinished(system, fleet, one, shown) for one in remembered if _counts(one, shown)]
    found["lock"] = lock.holder(system)
    found.update(_gpus(system) if request.get("gpus", True) else nvml.nothing())
    found["fingerprint"] = fingerprint(found, fleet)
    return found


def _units(system: System, fleet: wire.Fleet, unit_files: units.UnitFiles, shown: Any) -> Dict[str, Any]:
    digests, unreadable = units.dropin_digests(system, unit_files, shown)
    etc, hidden = state.etc_digests(system, fleet)
    digests.update(unit_files.digests)
    digests.update(etc)
    return {
        "units": units.units(system, unit_files, shown),
        "foreign_units": unit_files.foreign,
        "files": digests,
        "listening": ports.listening(system, units.control_groups(unit_files, shown)),
        "unreadable_units": unit_files.unreadable + unreadable + hidden,
    }


def _state(system: System, fleet: wire.Fleet, whole: List[str]) -> Dict[str, Any]:
    own = state.FleetState(system, fleet, whole)
    conflict = state.name_conflict(system, fleet)
    if conflict is not None:
        own.records, own.history, own.failures, own.starts, own.roster = {}, {}, {}, {}, None
    return {
        "records": own.records,
        "history": own.history,
        "failures": own.failures,
        "starts": own.starts,
        "roster": own.roster,
        "name_conflict": conflict,
        "other_fleets": state.other_fleets(system, fleet),
        "peer": peers.facts(system, fleet) if conflict is None else {},
        "secret_key": _secret_key(system, fleet) if conflict is None else None,
        "unreadable": own.unreadable,
    }


def _secret_key(system: System, fleet: wire.Fleet) -> Optional[str]:
    try:
        found = files.read(system, paths.secret_key(fleet))
    except OSError:
        return None
    return found.decode("ascii").strip() if found else None


def _runs(system: System, fleet: wire.Fleet) -> List[Dict[str, Any]]:
    """Runs of this fleet that matter: without a report, or with something left."""
    found = []
    for run_id in runs.ids(system):
        if runs.is_settled(system, run_id):
            continue
        try:
            one = runs.describe(system, run_id)
        except OSError:
            continue
        if one["fleet"] == fleet["id"] and not (one["ended"] and one["finished"]):
            found.append(one)
    return found


def _counts(one: Dict[str, Any], shown: Any) -> bool:
    return not one["finished"] or runs.lives(one["run"], shown)


def _unfinished(system: System, fleet: wire.Fleet, one: Dict[str, Any], shown: Any) -> Dict[str, Any]:
    keys = ("run", "plan", "who", "since", "stage", "deployments")
    alive = runs.lives(one["run"], shown)
    found = dict({key: one[key] for key in keys}, alive=alive)
    return dict(found, **standing.doing(system, one["run"], fleet)) if alive else found


def _gpus(system: System) -> Dict[str, Any]:
    found = system.gpus()
    for gpu in found["gpus"]:
        for process in gpu.get("processes", ()):
            process["unit"] = ports.unit_of(system, process["pid"])
    return found
