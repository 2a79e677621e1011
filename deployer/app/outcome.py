"""What came of an apply, in words: for the report of the command line and the last screen of the terminal UI alike."""

from dataclasses import dataclass

from deployer.app.advice import place_of_hint
from deployer.app.times import clock
from deployer.execute.events import RESULT_CODES, Failure, HostReport, Report, leaves
from deployer.spec.load import Loaded

_SAID = {
    "done": "done",
    "failed": "failed",
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

#: Results that are no trouble of the host.
FINE = ("done", "unchanged", "released", "dropped")


@dataclass(frozen=True, slots=True)
class Told:
    """A failure as a person reads it. `do` names the line of the YAML when the advice is about one."""

    what: str
    cause: str | None
    do: str | None
    now: str
    log: tuple[str, ...]
    command: str | None


def told(failure: Failure, loaded: Loaded) -> Told:
    name = f" {failure.deployment}" if failure.deployment else ""
    place = place_of_hint(loaded, failure.deployment, failure.hint)
    return Told(
        what=f"{failure.host}{name}: {_step(failure.step)}: {failure.message}",
        cause=failure.cause,
        do=f"{f'{place}  ' if place else ''}{failure.hint}" if failure.hint else None,
        now="what stood before is back" if failure.undone else "not everything could be put back",
        log=failure.log,
        command=f"deployer logs {failure.deployment} --failure" if failure.deployment else None,
    )


def host_words(host: HostReport) -> str:
    """ "chat: done  1:04", "stale: since the plan was made, these changed: …"."""
    said = _SAID.get(host.result, host.result)
    if host.result == "failed" and leaves(host.transactions.values()):
        said = "failed, and not everything could be put back"
    about = ", ".join(name for name in host.transactions if ":" not in name)
    if host.result == "done" and about:
        ends = [end.get("state") for name, end in host.transactions.items() if ":" not in name]
        said = "left as it was" if all(state == "skipped" for state in ends) else said
    what = f"{about}: {said}" if about and host.result == "done" else said
    took = f"  {clock(host.seconds)}" if host.seconds else ""
    return f"{what}{f': {host.message}' if host.message else ''}{took}"


def beside(name: str, what: str, report: Report) -> tuple[str, ...]:
    """Notes on an apply that followed another by itself: the hosts that it did not end well on and that no failure names."""
    named = {failure.host for failure in report.failures}
    bad = [h for h in report.hosts.values() if RESULT_CODES.get(h.result, 1) and h.name not in named]
    return (*report.notes, *(f"{name}: {what} on {h.name}: {host_words(h)}" for h in bad))


def left_off(host: HostReport) -> list[str]:
    """What an interrupted run did and did not do: "done: chat"."""
    by_state: dict[str, list[str]] = {}
    for name, end in host.transactions.items():
        by_state.setdefault(str(end.get("state")), []).append(name)
    return [f"{state}: {', '.join(sorted(names))}" for state, names in sorted(by_state.items())]


def summary(report: Report) -> str:
    """ "3 hosts: 2 done, 1 stale · 1:04"."""
    counts: dict[str, int] = {}
    for host in report.hosts.values():
        counts[host.result] = counts.get(host.result, 0) + 1
    said = ", ".join(f"{number} {result}" for result, number in counts.items())
    hosts = f"{sum(counts.values())} host{'s' * (sum(counts.values()) != 1)}"
    return f"{hosts}: {said} · {clock(report.seconds)}"


def _step(label: str | None) -> str:
    """A step is named by what it is to bring about; this one did not."""
    if label and label.endswith(" answers"):
        return f"{label.removesuffix(' answers')} did not become ready"
    return label or "the run"
