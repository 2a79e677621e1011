"""A plan as JSON and back: `plan --json` and the saved plan. Holds no secret; sorted where order means nothing."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from deployer.errors import DeployerError
from deployer.plan.counts import summary
from deployer.plan.model import FORMAT_VERSION, Change, Delta, Drift, Finding, Impact, Notice, Plan, PlannedHost, Refusal, Rollout
from deployer.plan.preflight.finding import WARN, everything
from deployer.plan.record import resource_from, resource_json, source_from, source_json
from deployer.state.resources import Kind


def to_json(plan: Plan) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "plan_id": plan.plan_id,
        "fleet": {"id": plan.fleet_id, "name": plan.fleet_name, "environment": plan.environment},
        "git_commit": plan.git_commit,
        "created_at": plan.created_at,
        "hosts": {name: _plain(host) for name, host in sorted(plan.hosts.items())},
        "changes": [change_json(c) for c in plan.changes],
        "drift": [_plain(d) for d in plan.drift],
        "ignored": [_plain(d) for d in plan.ignored],
        "refusals": [_plain(r) for r in plan.refusals],
        "notices": [_plain(n) for n in plan.notices],
        "findings": [finding_json(f) for f in everything(plan)],
        "unreachable": list(plan.unreachable),
        "summary": summary(plan),
        "roster": plan.roster,
        "revisions": dict(sorted(plan.revisions.items())),
        "rollouts": {name: asdict(rollout) for name, rollout in sorted(plan.rollouts.items())},
        "texts": dict(sorted(plan.texts.items())),
        "recorded": {h: {n: [resource_json(r) for r in rs] for n, rs in d.items()} for h, d in plan.recorded.items()},
        "standing": {h: [resource_json(r) for r in rs] for h, rs in plan.standing.items()},
        "unchanged": plan.unchanged,
        "specs": dict(sorted(plan.specs.items())),
        "judged": {host: list(keys) for host, keys in sorted(plan.judged.items())},
    }


def change_json(change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "host": change.host,
        "deployment": change.deployment,
        "resource": change.address,
        "actions": list(change.actions),
        "reason": change.reason,
        "source": source_json(change.source),
        "deltas": [_plain(d) for d in change.deltas],
        "before": None if change.before is None else resource_json(change.before),
        "after": None if change.after is None else resource_json(change.after),
        "impact": change.impact._asdict(),
        "depends_on": list(change.depends_on),
        "drift": change.drift,
        "kind": str(change.kind) if change.kind else None,
        "name": change.name,
        "data": dict(change.data),
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    return _plain(finding)


def _plain(value: PlannedHost | Drift | Refusal | Notice | Finding | Delta) -> dict[str, Any]:
    """A flat dataclass as JSON; its only nested value may be a source."""
    found = {}
    for name in value.__dataclass_fields__:
        item = getattr(value, name)
        found[name] = source_json(item) if name == "source" else list(item) if isinstance(item, tuple) else item
    return found


def from_json(data: Mapping[str, Any]) -> Plan:
    """Raises DeployerError when it is not a plan of this format."""
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        what = f"this is not a plan I can read: format_version is {version!r}, not {FORMAT_VERSION!r}"
        raise DeployerError(what, hint="make a new one: deployer plan --out FILE")
    try:
        return _plan(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeployerError(f"this plan is damaged: {error}", hint="make a new one: deployer plan --out FILE") from error


def _plan(data: Mapping[str, Any]) -> Plan:
    return Plan(
        plan_id=data["plan_id"],
        fleet_id=data["fleet"]["id"],
        fleet_name=data["fleet"]["name"],
        environment=data["fleet"].get("environment"),
        git_commit=data["git_commit"],
        created_at=data["created_at"],
        hosts={name: PlannedHost(**host) for name, host in data["hosts"].items()},
        changes=tuple(_change(c) for c in data["changes"]),
        drift=tuple(Drift(**_placed(d)) for d in data["drift"]),
        ignored=tuple(Drift(**_placed(d)) for d in data.get("ignored", ())),
        refusals=tuple(Refusal(**_placed(r, "details")) for r in data["refusals"]),
        notices=tuple(Notice(**_placed(n)) for n in data["notices"]),
        findings=tuple(Finding(**_placed(f)) for f in data.get("findings", ()) if f["severity"] == WARN),
        roster=data["roster"],
        revisions=data["revisions"],
        rollouts={name: Rollout(**rollout) for name, rollout in data["rollouts"].items()},
        texts=data["texts"],
        recorded={h: {n: tuple(resource_from(r) for r in rs) for n, rs in d.items()} for h, d in data["recorded"].items()},
        standing={h: tuple(resource_from(r) for r in rs) for h, rs in data["standing"].items()},
        unchanged=data["unchanged"],
        specs=data.get("specs", {}),
        judged={host: tuple(keys) for host, keys in data.get("judged", {}).items()},
    )


def _placed(data: Mapping[str, Any], *lists: str) -> dict[str, Any]:
    found = {**data, "source": source_from(data.get("source"))}
    return {**found, **{name: tuple(found[name]) for name in lists}}


def _change(data: Mapping[str, Any]) -> Change:
    return Change(
        id=data["id"],
        host=data["host"],
        kind=Kind(data["kind"]) if data["kind"] else None,
        name=data["name"],
        deployment=data["deployment"],
        actions=tuple(data["actions"]),
        reason=data["reason"],
        deltas=tuple(Delta(**_placed(d)) for d in data["deltas"]),
        before=resource_from(data["before"]) if data["before"] else None,
        after=resource_from(data["after"]) if data["after"] else None,
        source=source_from(data["source"]),
        impact=Impact(**data["impact"]),
        depends_on=tuple(data["depends_on"]),
        drift=data["drift"],
        data=data["data"],
    )
