"""What a plan is, as one digest: the desired state, the fingerprints and the changes. Not when it was made, the commit,
or estimates; not positions, since a value that moved to another line is the same value.
"""

from deployer.plan.codec import change_json
from deployer.plan.fitted import FIT
from deployer.plan.model import Plan
from deployer.state.canonical import digest


def plan_id(plan: Plan) -> str:
    changes = []
    for change in plan.changes:
        data = change_json(change, positions=False)
        data.pop("impact")
        data["data"].pop(FIT, None)
        changes.append(data)
    hosts = {name: [h.reachable, h.fingerprint] for name, h in plan.hosts.items()}
    roster = {k: plan.roster.get(k) for k in ("slots", "hosts", "generation")}
    holds = {name: [hold["kind"], hold.get("revision")] for name, hold in plan.roster.get("holds", {}).items()}
    holds |= {f"host {name}": [hold["kind"], None] for name, hold in plan.roster.get("cordons", {}).items()}
    return digest([plan.fleet_id, hosts, changes, roster, holds, dict(plan.revisions), sorted(plan.texts)], 16)
