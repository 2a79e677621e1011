"""From what hosts said to the state of each deployment and host. Pure. Called by app after a probe.

`deployed` means that every replica answered a real request on its host (its unit is active only then) and that the
gateway which carries the endpoint runs. Unknown is not absent: a replica on a host that did not answer is "unknown".
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from deployer.agent import wire
from deployer.execute.endpoint import endpoint, gateways
from deployer.execute.standing import DeploymentState, HostState, Idle, ReplicaState, Status, UnitState
from deployer.plan import costs
from deployer.plan.canaries import Canary, standing
from deployer.plan.canaries import one_json as canary_json
from deployer.plan.cordons import one_json as cordon_json
from deployer.plan.cordons import stronger
from deployer.plan.record import HOST_RECORD, resource_from
from deployer.plan.roster import ROLLED_BACK, Place, Roster, hold_json, latest
from deployer.plan.starts import NOT_SEEN, Starts, expect, starts
from deployer.render.names import gateway_unit_name, parse_unit_name
from deployer.spec.models import FleetSpec
from deployer.state.observed import Observed, Reached
from deployer.state.resources import Kind, Resource

#: The starts that hosts noted: put in order when the first one asks, which most do not.
Noted = Callable[[], Starts]
#: What a run that is alive does, by the stage it is in.
_STAGES = {"artifacts": "downloading", "copies": "downloading"}
#: The state of a deployment is the first of these that any of its replicas has.
_MOVING = ("downloading", "optimizing", "starting")


def make_status(
    fleet: FleetSpec, observed: Observed, at: str, *, names: Collection[str] = (), remembered: Observed | None = None
) -> Status:
    """`names` empty: all deployments, those in no file (orphans) included. `remembered`: the last answer of each host, for
    where things are and which revision; whoever looks on for long has it of hosts that do not answer now.
    """
    remembered = observed if remembered is None else remembered
    roster = latest(remembered)
    known = {*fleet.deployments, *roster.by_deployment(), *_recorded(remembered)}
    wanted = [name for name in sorted(known) if not names or name in names]
    tried = standing(remembered, roster.canaries)
    cost = costs.of_places(fleet, roster.places)
    noted = cache(lambda: starts(observed))
    deployments = tuple(
        replace(_with_canary(_deployment(fleet, observed, remembered, noted, roster, name), tried.get(name)), cost=cost.get(name))
        for name in wanted
    )
    hosts = tuple(_held(fleet, _host(name, found, roster), roster, at) for name, found in sorted(observed.items()))
    idle = Idle(*costs.idle(fleet, observed, roster.places)) if costs.priced(fleet) else None
    return Status(fleet.name, at, deployments, hosts, idle)


def _with_canary(one: DeploymentState, tried: Canary | None) -> DeploymentState:
    return one if tried is None else replace(one, canary=canary_json(tried))


def _recorded(observed: Observed) -> set[str]:
    probes = [found.probe for found in observed.values() if isinstance(found, Reached)]
    return {name for probe in probes for name in probe.get("records", {}) if name != HOST_RECORD}


def _deployment(
    fleet: FleetSpec, observed: Observed, remembered: Observed, noted: Noted, roster: Roster, name: str
) -> DeploymentState:
    spec = fleet.deployments.get(name)
    places = {place.number: place for place in roster.by_deployment().get(name, ())}
    hold = roster.holds.get(name)
    held = hold is not None and hold.kind == ROLLED_BACK  # its revision says how many there are, and that they run
    slots = sorted({*places, *range(spec.replicas if spec and not held else 0)})
    stopped = (hold is not None and hold.kind in ("stopped", "destroyed")) or (
        spec is not None and spec.state == "stopped" and not held
    )
    replicas = tuple(_replica(fleet.name, observed, noted, name, slot, places.get(slot), stopped) for slot in slots)
    found = endpoint(fleet, roster, name)
    carriers = gateways(fleet, [place.host for place in places.values()])
    closed = _closed(fleet, observed, carriers) if places else None
    state, reason = _fold([r.state for r in replicas], stopped, closed)
    failure = _failure(observed, name)
    if state in ("failed", "degraded") and reason is None:
        reason = next((r.reason for r in replicas if r.reason), None)
    return DeploymentState(
        name=name,
        state=state,
        revision=_revision(remembered, name),
        endpoint=found.url if found else None,
        replicas=replicas,
        tags=spec.tags if spec else (),
        reason=reason,
        orphan=spec is None,
        hold=hold_json(hold) if hold else None,
        failure=failure,
    )


def _fold(states: Iterable[str], stopped: bool, closed: str | None) -> tuple[str, str | None]:
    """The state of a deployment from those of its replicas, and a reason that no single replica has."""
    found = set(states)
    if stopped and found <= {"stopped", "pending"}:
        return "stopped", None
    for state in _MOVING:
        if state in found:
            return state, None
    if not found or found == {"pending"}:
        return "pending", None
    if found == {"deployed"}:
        return ("degraded", closed) if closed else ("deployed", None)
    if "deployed" in found or "unknown" in found:
        return "degraded", None
    return ("stopped", None) if found == {"stopped"} else ("failed", None)


def _closed(fleet: FleetSpec, observed: Observed, carriers: Iterable[str]) -> str | None:
    """Why the endpoint does not answer although its replicas do; None when a gateway that carries it runs."""
    name = gateway_unit_name(fleet.name)
    said = "its gateway is not set up"
    for host in carriers:
        found = observed.get(host)
        if not isinstance(found, Reached):
            said = f"the gateway on {host} did not answer"
            continue
        unit = _unit(found.probe, name)
        if unit is not None and unit.get("active") == "active":
            return None
        said = f"the gateway on {host} is {unit.get('active', 'unknown') if unit else 'not there'}"
    return said


def _replica(
    fleet: str, observed: Observed, noted: Noted, name: str, slot: int, place: Place | None, stopped: bool
) -> ReplicaState:
    if place is None:
        return ReplicaState(slot, "stopped" if stopped else "pending", None, "it has no place yet: deployer plan", ())
    found = observed.get(place.host)
    if not isinstance(found, Reached):
        why = found.message if found is not None else "it was not asked"
        units = (UnitState(place.host, "", 0, place.port, place.gpus),)
        return ReplicaState(slot, "unknown", None, f"{place.host}: {why}", units)
    resource = _resource(found.probe, name, slot)
    begun = _begun(found.probe, fleet, name, slot)
    if resource is None and begun is not None:
        units = (UnitState(place.host, "", 0, place.port, place.gpus),)
        return ReplicaState(slot, "starting", begun.get("since"), None, units, begun["phase"], _expected(noted(), place))
    converting = _converting(found.probe, name)
    if resource is None and converting is not None:
        units = (UnitState(place.host, "", 0, place.port, place.gpus),)
        return ReplicaState(slot, "optimizing", converting.get("since"), None, units, converting["phase"])
    if resource is None:
        moving = _moving(found.probe, name)
        units = (UnitState(place.host, "", 0, place.port, place.gpus),)
        return ReplicaState(slot, moving or "pending", None, None if moving else "not applied yet", units)
    unit_name = str(resource["payload"]["unit"])
    units = (UnitState(place.host, unit_name, 0, int(resource["payload"]["port"]), tuple(resource["payload"].get("gpus", ()))),)
    state, since, reason = _unit_state(found.probe, name, unit_name, resource)
    if begun is not None:  # its successor may stand beside it, or in its place
        expected = _expected(noted(), place, resource_from(resource))
        return ReplicaState(
            slot, state, begun.get("since") if state == "starting" else since, reason, units, begun["phase"], expected
        )
    return ReplicaState(slot, state, since, reason, units)


def _begun(probe: wire.Probe, fleet: str, name: str, slot: int) -> Mapping[str, Any] | None:
    """What a run that is alive says of the start of this replica."""
    for run in probe.get("unfinished", ()):
        for unit, said in (run.get("starting") or {}).items():
            parsed = parse_unit_name(unit, fleet)
            if parsed is not None and (parsed.deployment, parsed.slot) == (name, slot):
                return {"phase": said.get("phase"), "since": said.get("since")}
    return None


def _converting(probe: wire.Probe, name: str) -> Mapping[str, Any] | None:
    """What a run that is alive says of a model that it converts for this deployment."""
    found = (run.get("converting") for run in probe.get("unfinished", ()))
    return next((one for one in found if one and name in one["deployments"]), None)


def _expected(known: Starts, place: Place, before: Resource | None = None) -> float | None:
    """From the starts that hosts noted, as a plan says it; None where none is known. `before`: what the replica was."""
    replica = before or Resource(place.host, Kind.REPLICA, f"{place.deployment}/{place.number}", place.deployment)
    found = expect(replica, known)
    return None if found.basis == NOT_SEEN else found.start_s


def _unit_state(probe: wire.Probe, name: str, unit_name: str, resource: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    unit = _unit(probe, unit_name)
    wanted = next((a["value"] for a in resource.get("attributes", ()) if a["name"] == "state"), "running")
    active = unit.get("active", "inactive") if unit else "inactive"
    since = unit.get("since") if unit else None
    if active == "active":
        return "deployed", since, None
    moving = _moving(probe, name)
    if active in ("activating", "reloading"):
        again = int(unit.get("restarts", 0)) if unit else 0
        said = _cause(probe, name) if again else None
        return "starting", since, f"start {again + 1}: {said or 'the one before it failed'}" if again else None
    if moving:
        return moving, since, None
    if wanted == "stopped":
        return "stopped", since, None
    if unit is None:
        return "failed", None, "its unit is not on the host any more: deployer plan"
    return "failed", since, _cause(probe, name) or f"its unit is {active} ({unit.get('result') or 'no result'})"


def _moving(probe: wire.Probe, name: str) -> str | None:
    """What a run that is alive on this host does with the deployment."""
    for run in probe.get("unfinished", ()):
        if run.get("alive") and name in run.get("deployments", ()):
            return _STAGES.get(str(run.get("stage")).partition("-")[0], "starting")
    return None


def _cause(probe: wire.Probe, name: str) -> str | None:
    failure = probe.get("failures", {}).get(name)
    return str(failure["cause"]) if failure and failure.get("cause") else None


def _failure(observed: Observed, name: str) -> dict[str, Any] | None:
    """The newest failure that is newer than what was last applied."""
    found = []
    for host, reached in observed.items():
        if isinstance(reached, Reached):
            failure = reached.probe.get("failures", {}).get(name)
            record = reached.probe.get("records", {}).get(name, {})
            if failure and _when(failure.get("at")) >= _when(record.get("at")):
                found.append({**failure, "host": host})
    return max(found, key=lambda f: str(f.get("at", "")), default=None)


def _when(at: object) -> datetime:
    """A time as hosts write it; the beginning of time when there is none."""
    try:
        return datetime.fromisoformat(str(at))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _revision(observed: Observed, name: str) -> int | None:
    numbers = [
        reached.probe["records"][name].get("revision", 0)
        for reached in observed.values()
        if isinstance(reached, Reached) and name in reached.probe.get("records", {})
    ]
    return max(numbers, default=None)


def _resource(probe: wire.Probe, name: str, slot: int) -> Mapping[str, Any] | None:
    for resource in probe.get("records", {}).get(name, {}).get("resources", ()):
        if resource["kind"] == "replica" and resource["payload"].get("slot") == slot:
            return resource
    return None


def _unit(probe: wire.Probe, name: str) -> wire.Unit | None:
    return next((unit for unit in probe.get("units", ()) if unit.get("name") == name), None)


def _held(fleet: FleetSpec, host: HostState, roster: Roster, at: str) -> HostState:
    """With what its file says of it, or a person, whichever is stronger."""
    spec = fleet.hosts.get(host.name)
    state = spec.state if spec is not None else "active"
    cordon = roster.cordons.get(host.name)
    if cordon is None or not stronger(cordon.kind, state) or (cordon.until and cordon.until <= at):
        return replace(host, state=state)
    return replace(host, state=cordon.kind, hold=cordon_json(cordon))


def _host(name: str, found: Any, roster: Roster) -> HostState:
    if not isinstance(found, Reached):
        return HostState(name, False, error=found.message, hint=found.hint)
    probe = found.probe
    uses: dict[str, list[str]] = {}  # several where they have shares of it
    for uuid, place in ((uuid, p) for p in roster.places if p.host == name for uuid in p.gpus):
        uses.setdefault(uuid, []).append(f"{place.deployment}/{place.number}")
    gpus = tuple(
        {
            "uuid": gpu["uuid"],
            "name": gpu.get("name"),
            "memory_total": gpu.get("memory_total"),
            "memory_used": gpu.get("memory_used"),
            "utilization": gpu.get("utilization"),
            "replica": ", ".join(uses.get(gpu["uuid"], ())) or None,
        }
        for gpu in probe.get("gpus", ())
    )
    unfinished = tuple(probe.get("unfinished", ()))
    return HostState(name, True, gpus, probe.get("disks", {}), wire.VERSION, None, None, probe.get("lock"), unfinished)
