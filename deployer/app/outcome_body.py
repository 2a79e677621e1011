"""What came of an apply as the JSON body that commands and webhooks get. Versioned: docs/notifications.md and
docs/notification.schema.json say the same, and a test compares. Pure, but for the clock that comes in. Called by notify.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.agent.wire import deployment_of
from deployer.app.outcome import summary
from deployer.app.secretvalues import mask
from deployer.execute.events import Report
from deployer.plan.model import Plan
from deployer.spec.models import FleetSpec

FORMAT_VERSION = "1.0"

_SAID = {"success": "done", "failure": "failed", "rollback": "failed, and what stood before serves again"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who began the apply, and why; `attached_by`: who followed it to its end, when its own terminal was gone."""

    who: str
    why: str | None
    attached_by: str | None = None


def event_of(report: Report) -> str:
    """ "success", "rollback" (it failed, and everything that failed was put back) or "failure"."""
    return {0: "success", 5: "rollback"}.get(report.exit_code, "failure")


def results(report: Report, plan: Plan | None) -> dict[str, str]:
    """Deployment → event, for each that the apply was about."""
    states: dict[str, set[str]] = {c.deployment: set() for c in (plan.changes if plan else ()) if c.deployment}
    for change in plan.changes if plan else ():
        host = report.hosts.get(change.host)
        if change.deployment and (host is None or not host.transactions):
            states[change.deployment].add("failed")  # its host was not reached, or would not begin
    for host in report.hosts.values():
        for transaction, end in host.transactions.items():
            name = deployment_of(transaction)
            if name is not None:
                states.setdefault(name, set()).add(str(end.get("state")))
    return {name: _event(found) for name, found in sorted(states.items())}


def _event(states: Iterable[str]) -> str:
    found = set(states)
    if found <= {"done"}:
        return "success"
    return "rollback" if "undone" in found and found <= {"done", "undone", "skipped"} else "failure"


def body(
    fleet: FleetSpec, report: Report, plan: Plan | None, asked: Asked, at: str, deployment: str | None = None
) -> dict[str, Any]:
    """`deployment`: the one that somebody is told about; None: the whole apply."""
    ends = results(report, plan)
    event = event_of(report) if deployment is None else ends.get(deployment, "failure")
    revisions: Mapping[str, int] = plan.revisions if plan else {}
    about = [name for name in ends if deployment in (None, name)]
    failures = [f.json() for f in report.failures if deployment in (None, f.deployment)]
    found = {
        "format_version": FORMAT_VERSION,
        "event": event,
        "text": _text(fleet, report, asked, event, about),
        "at": at,
        "fleet": {"id": fleet.id, "name": fleet.name, "environment": fleet.environment},
        "deployment": deployment,
        "run": report.run,
        "plan_id": report.plan_id,
        "git_commit": plan.git_commit if plan else None,
        "who": asked.who,
        "why": asked.why,
        "attached_by": asked.attached_by,
        "exit_code": report.exit_code,
        "seconds": round(report.seconds, 2),
        "deployments": [{"name": name, "event": ends[name], "revision": revisions.get(name)} for name in about],
        "hosts": [{"name": n, "result": h.result, "message": h.message} for n, h in sorted(report.hosts.items())],
        "failures": [{key: value for key, value in failure.items() if key != "log"} for failure in failures],
    }
    clean: dict[str, Any] = _masked(found)
    return clean


def _text(fleet: FleetSpec, report: Report, asked: Asked, event: str, about: list[str]) -> str:
    """One line for people; chat services show a body's `text`."""
    where = f"{fleet.name} ({fleet.environment})" if fleet.environment else fleet.name
    what = ", ".join(about[:5]) + (f" and {len(about) - 5} more" if len(about) > 5 else "") or "apply"
    why = f" ({asked.why})" if asked.why else ""
    return f"{where}: {what} by {asked.who}{why}: {_SAID[event]} · {summary(report)}"


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value
