"""What differs between what was recorded on a host and what is there: nobody changed the YAML, somebody changed the host.

Files we wrote (by digest), drop-ins of our units, units that are gone, disabled or dead.
"""

from dataclasses import dataclass

from deployer.agent.wire import Probe, Unit
from deployer.plan.diff import UNKNOWN_START_S, change_of
from deployer.plan.model import Change, Drift, Impact
from deployer.spec.models import DriftRule, FleetSpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from deployer.state.resources import Kind, Resource

_REPLICA = Kind.REPLICA
_WITH_A_UNIT = (_REPLICA, Kind.GATEWAY)
UNKNOWN = "unknown"
_UP = ("active", "activating", "reloading")


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    before: str | None
    after: str | None
    remedy: str
    restarts: bool
    dropin: str | None = None
    kind: str = "changed"


def find(resource: Resource, probe: Probe) -> list[Finding]:
    """Drift of one recorded resource."""
    findings = _files(resource, probe)
    unit = resource.payload.get("unit")
    if unit and resource.kind in _WITH_A_UNIT:
        findings += _unit(resource, probe, str(unit))
    return findings


def _files(resource: Resource, probe: Probe) -> list[Finding]:
    there = probe.get("files")
    if there is None:  # could not be read: unknown is not absent
        return []
    found = []
    running = resource.kind is _REPLICA and resource.runs
    for file in resource.payload.get("files", []):
        path, recorded = file["path"], file.get("sha256")
        if recorded is None:
            continue
        now = there.get(path)
        if now is None:
            found.append(Finding(f"{path} is gone", recorded[:8], None, "will be written again", running, kind="missing"))
        elif now != recorded:
            found.append(Finding(f"{path} was changed", recorded[:8], now[:8], "will be put back", running))
    return found


def _unit(resource: Resource, probe: Probe, name: str) -> list[Finding]:
    if "units" not in probe:
        return []
    unit = next((u for u in probe["units"] if u["name"] == name), None)
    wanted = resource.runs
    if unit is None:
        return [Finding(f"{name} is gone", "there", None, "will be made again", True, kind="missing")] if wanted else []
    if unit.get("active", UNKNOWN) == UNKNOWN:  # systemd said nothing of it: that is not to be down, nor to be as it was
        return []
    dropins = sorted(unit.get("dropins", []))
    remedy = "will be removed; a restart" if wanted else "will be removed"
    found = [Finding(f"{name} has a drop-in: {d.rpartition('/')[2]}", None, None, remedy, wanted, d, "added") for d in dropins]
    up = unit.get("active") in _UP
    if wanted and not up:
        found.append(Finding(f"{name} is down", "running", _how(unit), "will be started again", True))
    if not wanted and up:
        found.append(Finding(f"{name} runs", "stopped", unit.get("active"), "will be stopped", False))
    if wanted and not unit.get("enabled", True):
        found.append(Finding(f"{name} is not enabled", "enabled", "disabled", "will be enabled", False))
    return found


def _how(unit: Unit) -> str:
    result = unit.get("result") or ""
    status = f", exit status {unit['exit_status']}" if unit.get("exit_status") else ""
    return f"{unit['active']}{f' ({result}{status})' if result and result != 'success' else ''}"


def repair(resource: Resource, findings: list[Finding], start_s: float = UNKNOWN_START_S) -> Change:
    """The change that puts a resource back as it was recorded."""
    restarts = resource.kind is Kind.REPLICA and any(f.restarts for f in findings)
    actions: tuple[str, ...] = ("delete", "create") if restarts else ("update",)
    return change_of(
        resource,
        actions,
        "put back: " + "; ".join(f.what for f in findings),
        before=resource,
        after=resource,
        impact=Impact(downtime_s=start_s if restarts else None, restarts=int(restarts)),
        drift=True,
        data={"dropins": sorted(f.dropin for f in findings if f.dropin)},
    )


def report(resource: Resource, findings: list[Finding], change: str) -> list[Drift]:
    return [Drift(resource.host, resource.deployment, f.what, f.before, f.after, f.remedy, change, f.kind) for f in findings]


def sort_out(
    fleet: FleetSpec, positions: Positions, resource: Resource, findings: list[Finding]
) -> tuple[list[Finding], list[Drift]]:
    """(what is to be put back, what a rule leaves alone, with that rule's place)."""
    back, alone = [], []
    for finding in findings:
        number = next((n for n, rule in enumerate(fleet.drift.ignore) if _fits(rule, resource, finding)), None)
        if number is None:
            back.append(finding)
        else:
            place = positions.of("deployer", "drift", "ignore", number)
            alone.append(_left_alone(resource, finding, place))
    return back, alone


def _left_alone(resource: Resource, finding: Finding, rule: Source | None) -> Drift:
    f = finding
    return Drift(resource.host, resource.deployment, f.what, f.before, f.after, "stays as it is", None, f.kind, rule)


def _fits(rule: DriftRule, resource: Resource, finding: Finding) -> bool:
    if rule.host not in (None, resource.host) or rule.deployment not in (None, resource.deployment):
        return False
    return rule.what is None or matches(rule.what, finding.what)


def matches(pattern: str, text: str) -> bool:
    """Whether a rule's `what` fits; only * has a meaning of its own."""
    parts = pattern.split("*")
    if len(parts) == 1:
        return pattern == text
    if not text.startswith(parts[0]) or not text.endswith(parts[-1]) or len(text) < len(parts[0]) + len(parts[-1]):
        return False
    at, end = len(parts[0]), len(text) - len(parts[-1])
    for part in parts[1:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
