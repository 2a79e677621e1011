"""From the changes of one host to what its agent is told: transactions of steps. Pure; secrets are only named.

A transaction stands or falls together: one artifact, the host's gateway, or one deployment on this host. The order of
the steps inside a stage is the order of the transactions, and inside them the order written here.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from deployer.agent import wire
from deployer.plan import rounds, tasks
from deployer.plan.aftermath import OF_DEPLOYMENT
from deployer.plan.model import Change, Plan
from deployer.state.resources import ARTIFACTS, Kind

#: What silence of the controller means at each barrier, and how long the host waits for a word of it (it gives one every
#: few seconds while it is there). Before a wave begins nothing of it was touched: keep. Behind the gateway's barrier the new
#: ones have answered at the endpoint, and only the old ones are left to go: finish.
BARRIERS: dict[str, dict[str, Any]] = {
    "artifacts": {"silence": "keep", "deadline_s": 120.0},
    "copies": {"silence": "keep", "deadline_s": 120.0},
    "drain": {"silence": "keep", "deadline_s": 120.0},
    "switch": {"silence": "undo", "deadline_s": 120.0},
    "gateway": {"silence": "undo", "deadline_s": 300.0},
    "finish": {"silence": "finish", "deadline_s": 300.0},
}


def host_changes(plan: Plan, host: str) -> tuple[Change, ...]:
    return tuple(c for c in plan.changes if c.host == host)


def transactions(plan: Plan, host: str) -> list[wire.Transaction]:
    """What the host does, in order; empty when it has nothing to do."""
    changes = host_changes(plan, host)
    plan = replace(plan, changes=changes)  # what is asked of it below is of this host: others' changes only cost time
    found = [_undo(c) for c in changes if c.actions == ("undo",)]
    before = [t["id"] for t in found]
    found += [tasks.artifact(plan, c) for c in changes if c.kind in ARTIFACTS and c.after]
    found += [tasks.package(c) for c in changes if c.kind is Kind.PACKAGE and c.after]
    gateway = [c for c in changes if c.kind is Kind.GATEWAY and c.after]
    if gateway:
        found.append(tasks.gateway(plan, gateway[0]))
    made = {t["id"] for t in found}
    for name in _deployments(changes):
        mine = [c for c in changes if c.deployment == name and c.kind in OF_DEPLOYMENT]
        if mine:
            found += rounds.deployment(plan, host, name, mine, made)
    last = max([t.get("wave", 1) for t in found], default=1)
    found += [_removal(c, last) for c in changes if c.kind is Kind.GATEWAY and not c.after]
    found += [_takeover(c, last, found) for c in changes if c.kind is Kind.FOREIGN]
    found += [_removal(c, last) for c in changes if c.kind is Kind.HISTORY]
    found += [_removal(c, last) for c in changes if c.kind in (*ARTIFACTS, Kind.PACKAGE) and not c.after]
    for transaction in found[len(before) :]:
        transaction["needs"] = sorted({*transaction.get("needs", ()), *before})
    return _numbered(found)


def run_request(
    plan: Plan,
    host: str,
    *,
    run: str,
    who: str,
    why: str | None,
    probe: wire.ProbeRequest,
    fleet: wire.Fleet,
    silence_s: float | None = None,
) -> wire.RunRequest:
    """The whole request for one host, with `secrets` left empty for the caller to fill. `silence_s`: another deadline for
    all barriers.
    """
    return {
        "wire": wire.VERSION,
        "run": run,
        "plan": plan.plan_id,
        "fleet": fleet,
        "host": host,
        "who": who,
        "why": why,
        "git_commit": plan.git_commit,
        "fingerprint": plan.hosts[host].fingerprint or "",
        "probe": probe,
        "transactions": transactions(plan, host),
        "barriers": _barriers(plan, silence_s),
        "rollouts": {n: {"auto_revert": r.auto_revert, "max_failures": r.max_failures} for n, r in sorted(plan.rollouts.items())},
        "secrets": {},
    }


def secrets_needed(plan: Plan, host: str) -> set[str]:
    """Ids of the secrets that the steps of one host name."""
    return set(_secrets(step["args"] for t in transactions(plan, host) for step in t["steps"]))


def _secrets(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, dict) and not value.get("kept"):  # what stays as it is on the host is not sent
            for key, item in value.items():
                if key in ("secret", "token") and isinstance(item, str):
                    yield item
            yield from _secrets(value.values())
        elif isinstance(value, list):
            yield from _secrets(value)


def blobs_needed(plan: Plan, host: str) -> list[dict[str, Any]]:
    """What the controller may have to bring: {"sha256", "size", "origin"}; origin is "tool:uv", "model:<folder>/<file>",
    "wheel:<file name>".
    """
    found: dict[str, dict[str, Any]] = {}
    for change in host_changes(plan, host):
        if change.after is not None and change.kind in ARTIFACTS:
            for blob in tasks.blobs(change.after):
                found.setdefault(blob["sha256"], blob)
    return list(found.values())


def _deployments(changes: Iterable[Change]) -> list[str]:
    return sorted({c.deployment for c in changes if c.deployment and c.kind in OF_DEPLOYMENT})


def _undo(change: Change) -> wire.Transaction:
    run = change.name.removeprefix("run:")
    step = tasks.step("artifacts", "run.undo", change, f"undo the unfinished run {run}", run=run)
    return {"id": change.name, "deployment": None, "needs": [], "steps": [step]}


def _takeover(change: Change, wave: int, made: Iterable[wire.Transaction]) -> wire.Transaction:
    """Last of all, and only when every part of the deployment on this host was done."""
    assert change.before is not None
    unit, name = change.before.payload["unit"], change.before.payload["deployment"]
    step = tasks.step(wire.stage_in(wave, "finish"), "unit.retire", change, f"stop and disable {unit}", 300.0, unit=unit)
    needs = [t["id"] for t in made if t.get("deployment") == name]
    return {"id": change.address, "deployment": None, "needs": needs, "steps": [step]}


def _removal(change: Change, wave: int) -> wire.Transaction:
    """After the last wave: until then something may still need it."""
    assert change.before is not None
    found = tasks.removal(change, change.before)
    for step in found["steps"]:
        step["stage"] = wire.stage_in(wave, step["stage"])
    return found


def _barriers(plan: Plan, silence_s: float | None) -> dict[str, dict[str, Any]]:
    waves = max((c.wave for c in plan.changes), default=1)
    every = [(wave, stage) for wave in range(1, waves + 1) for stage in wire.STAGES if wave == 1 or stage not in wire.ONCE]
    more = {"deadline_s": silence_s} if silence_s else {}
    return {wire.stage_in(wave, stage): {**BARRIERS[stage], **more} for wave, stage in every}


def _numbered(found: list[wire.Transaction]) -> list[wire.Transaction]:
    """Gives every step an id that is unique in the run and the same in every run of the plan."""
    for transaction in found:
        for number, step in enumerate(transaction["steps"]):
            step["id"] = f"{transaction['id']}.{number}"
    return found
