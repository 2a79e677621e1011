"""What came of an apply, as a person reads it: each host, each failure with cause, advice and log, the summary last."""

from collections.abc import Mapping

from deployer.app.advice import place_of_hint
from deployer.app.fleet import Fleet
from deployer.app.times import clock
from deployer.execute.events import Failure, HostReport, Report

_MARKS = {"done": ("✓", "32"), "unchanged": ("·", "2"), "released": ("·", "2"), "dropped": ("·", "33")}
_SAID = {
    "done": "done",
    "failed": "failed, and not everything could be put back",
    "rolled-back": "failed; what stood before is put back",
    "unreachable": "unreachable",
    "lost": "lost",
    "locked": "locked",
    "released": "not begun",
    "stale": "stale",
    "dropped": "not begun",
    "stopped": "stopped at a step boundary",
    "detached": "goes on alone",
}
_LOG_LINES = 8


def render(
    report: Report, fleet: Fleet, *, color: bool = False, unicode: bool = True, addresses: Mapping[str, str] | None = None
) -> str:
    """`addresses`: deployment → URL, of those that this apply has made or replaced."""
    blocks = [_host(host, report, color, unicode) for host in report.hosts.values() if host.result != "unchanged"]
    blocks += [_failure(failure, fleet, color, unicode) for failure in report.failures]
    failed = {failure.deployment for failure in report.failures}
    blocks += [f"  {name} answers at {url}" for name, url in (addresses or {}).items() if name not in failed]
    return "\n".join([*blocks, _summary(report)])


def _mark(result: str, color: bool, unicode: bool) -> str:
    mark, code = _MARKS.get(result, ("✗", "31"))
    if not unicode:
        mark = {"✓": "ok", "✗": "x", "·": "-"}[mark]
    return f"\033[{code}m{mark}\033[0m" if color else mark


def _host(host: HostReport, report: Report, color: bool, unicode: bool) -> str:
    said = _SAID.get(host.result, host.result)
    message = f": {host.message}" if host.message else ""
    took = f"  {clock(host.seconds)}" if host.seconds else ""
    about = ", ".join(name for name in host.transactions if ":" not in name)
    what = f"{about}: {said}" if about and host.result == "done" else said
    lines = [f"{_mark(host.result, color, unicode)} {host.name}  {what}{message}{took}"]
    if host.result == "stopped":
        lines += _done(host)
    if host.hint:
        lines.append(f"    {host.hint}")
    return "\n".join(lines)


def _done(host: HostReport) -> list[str]:
    """What an interrupted run did and did not do."""
    by_state: dict[str, list[str]] = {}
    for name, end in host.transactions.items():
        by_state.setdefault(str(end.get("state")), []).append(name)
    return [f"    {state}: {', '.join(sorted(names))}" for state, names in sorted(by_state.items())]


def _failure(failure: Failure, fleet: Fleet, color: bool, unicode: bool) -> str:
    name = f" {failure.deployment}" if failure.deployment else ""
    lines = [f"{_mark('failed', color, unicode)} {failure.host}{name}: {_step(failure.step)}: {failure.message}"]
    if failure.cause:
        lines.append(f"    cause   {failure.cause}")
    if failure.hint:
        place = place_of_hint(fleet.loaded, failure.deployment, failure.hint)
        lines.append(f"    do      {f'{place}  ' if place else ''}{failure.hint}")
    lines.append(f"    now     {'what stood before is back' if failure.undone else 'not everything could be put back'}")
    lines += [f"      | {line}" for line in failure.log[-_LOG_LINES:]]
    if failure.deployment:
        lines.append(f"    log     deployer logs {failure.deployment} --failure")
    return "\n".join(lines)


def _step(label: str | None) -> str:
    """A step is named by what it is to bring about; this one did not."""
    if label and label.endswith(" answers"):
        return f"{label.removesuffix(' answers')} did not become ready"
    return label or "the run"


def _summary(report: Report) -> str:
    counts: dict[str, int] = {}
    for host in report.hosts.values():
        counts[host.result] = counts.get(host.result, 0) + 1
    said = ", ".join(f"{number} {result}" for result, number in counts.items())
    hosts = f"{sum(counts.values())} host{'s' * (sum(counts.values()) != 1)}"
    return f"{hosts}: {said} · {clock(report.seconds)}"
