"""What came of an apply, as a person reads it: each host, each failure with cause, advice and log, the summary last."""

from collections.abc import Mapping

from deployer.app.fleet import Fleet
from deployer.app.outcome import host_words, left_off, summary, told
from deployer.execute.events import Failure, HostReport, Report

_MARKS = {"done": ("✓", "32"), "unchanged": ("·", "2"), "released": ("·", "2"), "dropped": ("·", "33")}
_LOG_LINES = 8


def render(
    report: Report, fleet: Fleet, *, color: bool = False, unicode: bool = True, addresses: Mapping[str, str] | None = None
) -> str:
    """`addresses`: deployment → URL, of those that this apply has made or replaced."""
    blocks = [_host(host, color, unicode) for host in report.hosts.values() if host.result != "unchanged"]
    blocks += [_failure(failure, fleet, color, unicode) for failure in report.failures]
    failed = {failure.deployment for failure in report.failures}
    blocks += [f"  {name} answers at {url}" for name, url in (addresses or {}).items() if name not in failed]
    blocks += [f"  {note}" for note in report.notes]
    return "\n".join([*blocks, summary(report)])


def _mark(result: str, color: bool, unicode: bool) -> str:
    mark, code = _MARKS.get(result, ("✗", "31"))
    if not unicode:
        mark = {"✓": "ok", "✗": "x", "·": "-"}[mark]
    return f"\033[{code}m{mark}\033[0m" if color else mark


def _host(host: HostReport, color: bool, unicode: bool) -> str:
    lines = [f"{_mark(host.result, color, unicode)} {host.name}  {host_words(host)}"]
    if host.result == "stopped":
        lines += [f"    {line}" for line in left_off(host)]
    if host.hint:
        lines.append(f"    {host.hint}")
    return "\n".join(lines)


def _failure(failure: Failure, fleet: Fleet, color: bool, unicode: bool) -> str:
    found = told(failure, fleet.loaded)
    lines = [f"{_mark('failed', color, unicode)} {found.what}"]
    if found.cause:
        lines.append(f"    cause   {found.cause}")
    if found.do:
        lines.append(f"    do      {found.do}")
    lines.append(f"    now     {found.now}")
    lines += [f"      | {line}" for line in found.log[-_LOG_LINES:]]
    if found.command:
        lines.append(f"    log     {found.command}")
    return "\n".join(lines)
