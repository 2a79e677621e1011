"""What a plan is, as one digest: the desired state, the fingerprints and the changes. Not when it was made, the commit,
or estimates; not positions, since a value that moved to another line is the same value.
"""

from collections.abc import Mapping
from typing import Any

from deployer.plan.fitted import FIT
from deployer.plan.model import Change, Plan
from deployer.state.canonical import digest
from deployer.state.resources import Resource


def plan_id(plan: Plan) -> str:
    hosts = {name: [h.reachable, h.fingerprint] for name, h in plan.hosts.items()}
    roster = {k: plan.roster.get(k) for k in ("slots", "hosts", "generation")}
    holds = {name: [hold["kind"], hold.get("revision")] for name, hold in plan.roster.get("holds", {}).items()}
    holds |= {f"host {name}": [hold["kind"], None] for name, hold in plan.roster.get("cordons", {}).items()}
    changes = [_change(change) for change in plan.changes]
    return digest([plan.fleet_id, hosts, changes, roster, holds, dict(plan.revisions), sorted(plan.texts)], 16)


def _change(change: Change) -> list[Any]:
    return [
        change.id,
        change.host,
        change.kind,
        change.name,
        change.deployment,
        change.actions,
        change.reason,
        [(d.name, d.before, d.after, d.restarts, d.secret) for d in change.deltas],
        None if change.before is None else _resource(change.before),
        None if change.after is None else _resource(change.after),
        change.depends_on,
        change.drift,
        {name: value for name, value in change.data.items() if name != FIT},
    ]


def _resource(resource: Resource) -> list[Any]:
    return [
        resource.host,
        resource.kind,
        resource.name,
        resource.deployment,
        [a[:2] for a in resource.attributes],  # name and value
        _payload(resource.payload),
        resource.needs,
        resource.download_bytes,
        resource.disk_bytes,
        resource.vram_bytes,
    ]


def _payload(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a file's text its digest says enough, and most of a plan is text."""
    files = payload.get("files")
    return {**payload, "files": [_file(file) for file in files]} if files else payload


def _file(file: Mapping[str, Any]) -> Any:
    if "sha256" not in file or "content" not in file:
        return file
    return [file["path"], file["mode"], file["owner"], file["sha256"]]
