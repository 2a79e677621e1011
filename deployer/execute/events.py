"""What an apply tells the front end while it runs, and what it says at the end. Plain values; made by apply and attach."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: What a host's run ended with → the exit code it stands for.
RESULT_CODES: Mapping[str, int] = {
    "done": 0,
    "unchanged": 0,
    "failed": 1,
    "rolled-back": 5,
    "unreachable": 6,
    "lost": 6,
    "locked": 7,
    "released": 0,  # it had its lock, another host did not: nothing was done here
    "stale": 8,
    "dropped": 0,  # it depends on a host that was refused
    "stopped": 130,
    "detached": 130,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened on one host (`host` None: in the whole apply). `at` is ISO 8601, UTC.

    `type`: "locked", "refused", "barrier", "step" as the agent says them; "transfer" for bytes that we push; "host"
    when a host's run begins, breaks off, comes back or ends (`state`); "stop" and "pause" when somebody asks for it (`host`
    None), "pause" also when a host stands still or goes on; "wait" while somebody else holds a lock that is wanted (`host`
    None); "revert" when replicas that were replaced already go back; "promote" when a canary that is good is promoted by
    itself. Progress is in `data`: {"done", "total", "unit", "rate", "eta_s", "phase"}.
    """

    type: str
    at: str
    host: str | None = None
    change: str | None = None
    step: str | None = None
    message: str | None = None
    label: str | None = None
    state: str | None = None
    stage: str | None = None
    transaction: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The contract's keys always, the others when they say something."""
        always = {"type": self.type, "at": self.at, "host": self.host, "change": self.change, "step": self.step}
        more = {"label": self.label, "state": self.state, "stage": self.stage, "transaction": self.transaction}
        said = {key: value for key, value in more.items() if value is not None}
        return {**always, "message": self.message, **said, **({"data": dict(self.data)} if self.data else {})}


def from_line(host: str, line: Mapping[str, Any], at: str) -> Event:
    """An agent's line as an event. `at` is used when the line has no time of its own."""
    kind = str(line.get("type", "?"))
    message = line.get("message") or line.get("detail")
    data = line.get("data") or {}
    if kind == "refused":
        data = {"reason": line.get("reason"), "holder": line.get("holder")}
    return Event(
        type=kind,
        at=str(line.get("at") or at),
        host=host,
        change=line.get("change"),
        step=line.get("step"),
        message=message,
        label=line.get("label"),
        state=line.get("state"),
        stage=line.get("stage"),
        transaction=line.get("tx"),
        data=data,
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one transaction did not succeed, or (`deployment` and `step` None) the whole run of a host. `undone`: what stood
    before stands again. `log`: last lines, oldest first.
    """

    host: str
    deployment: str | None
    step: str | None
    message: str
    undone: bool
    cause: str | None = None
    hint: str | None = None
    log: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "deployment": self.deployment,
            "step": self.step,
            "message": self.message,
            "undone": self.undone,
            "cause": self.cause,
            "hint": self.hint,
            "log": list(self.log),
        }


#: States of a transaction that leave something behind.
LEFT = ("kept", "undo-failed")


def leaves(ends: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of these ends of transactions left something behind."""
    return any(end.get("state") in LEFT for end in ends)


@dataclass(frozen=True, slots=True)
class HostReport:
    """How it ended on one host. `result` is a key of RESULT_CODES; `seconds` from the start of its run."""

    name: str
    result: str
    seconds: float = 0.0
    message: str | None = None
    hint: str | None = None
    transactions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {
            "result": self.result,
            "seconds": round(self.seconds, 2),
            "message": self.message,
            "hint": self.hint,
            "transactions": {name: dict(value) for name, value in self.transactions.items()},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The end of an apply. `run` names it on every host; `exit_code` is the worst of all hosts. One that is not 0 is explained:
    by a failure for each host that failed (1, 5), by the host's message for the others. `notes`: what a person must hear
    beside it: who could not be told, requests that may have been cut, what else was to follow and did not.
    """

    run: str
    plan_id: str
    hosts: Mapping[str, HostReport]
    failures: tuple[Failure, ...]
    exit_code: int
    seconds: float
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return {
            "type": "report",
            "run": self.run,
            "plan_id": self.plan_id,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 2),
            "hosts": {name: host.json() for name, host in self.hosts.items()},
            "failures": [failure.json() for failure in self.failures],
            "notes": list(self.notes),
        }
