"""What is known of the row under the cursor in the apply's place: a step's own words and its engine's journal, live; the
cause and log of a failure; what waits. Lines are fetched once per tick, so that a flood costs no more than a drop.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

from deployer.app.operation import Operation
from deployer.app.outcome import told
from deployer.app.steprows import StepRow, in_words
from deployer.app.values import LogStream
from deployer.errors import DeployerError
from deployer.tui.line import Line, line

#: Lines of a journal that may wait for the next tick. More would be read by nobody.
KEPT = 10_000


class Tail:
    """A journal read in a thread of its own until `close`. `open_journal` blocks; its answer is read to its end."""

    def __init__(self, open_journal: Callable[[], LogStream]) -> None:
        self._open = open_journal
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._stream: LogStream | None = None
        self._closed = False
        threading.Thread(target=self._read, name="ui-journal", daemon=True).start()

    def drain(self) -> list[Line]:
        """What came since the last time."""
        found: list[Line] = []
        with contextlib.suppress(IndexError):
            while True:
                found.append(self._lines.popleft())
        return found

    def close(self) -> None:
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _read(self) -> None:
        try:
            self._stream = self._open()
            if self._closed:
                self.close()
            for one in self._stream:
                self._lines.append(line((f"{_time(one.at)}  ", "dim"), one.text))
        except DeployerError as error:
            if not self._closed:
                self._lines.append(line((f"the journal broke off: {error.what}", "warn")))


class StepLog:
    """The lines of one row (by its key), at first (`whole`) and what is new at each tick (`more`)."""

    def __init__(self, operation: Operation, key: str) -> None:
        self._operation = operation
        self._key = key
        self._heard = 0
        self._tail: Tail | None = None
        self._step = operation.board.steps.named(key)
        self._failed = False
        self._states: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        if self._step is not None:
            return f"{self._step.label} on {self._step.host}"
        kind, _, name = self._key.partition(":")
        if kind == "wait":
            host, _, transaction = name.partition("/")
            return f"{in_words(transaction)} on {host} waits"
        return {"host": f"the run on {name}", "failure": "why it failed", "answers": f"{name} can be asked"}.get(kind, "")

    @property
    def stale(self) -> bool:
        """Whether `whole` would say something else than before that `more` does not."""
        return self._key.startswith("wait:") and self._states != self._states_now()

    def _states_now(self) -> tuple[str, ...]:
        host, _, transaction = self._key.removeprefix("wait:").partition("/")
        return tuple(step.state for step in self._operation.board.steps.transaction(host, transaction))

    def whole(self) -> list[Line]:
        """All that is known now."""
        if self._step is not None:
            return self.more()
        kind, _, name = self._key.partition(":")
        if kind == "wait":
            self._states = self._states_now()
            return self._waiting(*name.split("/", 1))
        if kind == "host":
            return self._host(name)
        if kind == "answers":
            one = self._operation.endpoints[name]
            return [line(text) for text in (*one.curl.splitlines(), "", *one.python.splitlines())]
        if kind == "failure" and self._operation.report is not None:
            found = told(self._operation.report.failures[int(name)], self._operation.fleet.loaded)
            return [line((f"{found.what}", "bad")), *(line(text) for text in found.log)]
        return []

    def more(self) -> list[Line]:
        """What is new of a step."""
        step = self._step
        if step is None:
            return []
        new = step.heard - self._heard
        self._heard = step.heard
        found = [line((f"{_clock(at)}  ", "dim"), (text, "accent")) for at, text in list(step.said)[-new:]] if new else []
        if self._tail is None and step.unit and step.began is not None:
            self._tail = Tail(lambda: self._operation.journal(step))
        elif self._tail is not None:
            found += self._tail.drain()
        return [*found, *self._why(step)]

    def close(self) -> None:
        if self._tail is not None:
            self._tail.close()

    def _why(self, step: StepRow) -> Iterable[Line]:
        """Once, when it has failed."""
        if step.state != "failed" or self._failed:
            return
        self._failed = True
        for name, words in (("cause", "cause"), ("hint", "do")):
            if step.data.get(name):
                yield line((f"{words:<7}", "bold"), str(step.data[name]))
        if step.data.get("log"):
            yield line(("its last words:", "dim"))
            yield from (line(str(text)) for text in step.data["log"])

    def _host(self, name: str) -> list[Line]:
        """What happened to its run, and at the end what became of each part of it."""
        host, report = self._operation.board.hosts.get(name), self._operation.report
        ends = report.hosts[name].transactions if report is not None and name in report.hosts else {}
        said = [line(text) for text in (host.said if host else ())]
        for transaction, end in ends.items():
            message = str(end.get("message") or "")
            said.append(line((f"{end.get('state') or '':<11}", "dim"), in_words(transaction), (f"  {message}", "dim")))
        return said

    def _waiting(self, host: str, transaction: str) -> list[Line]:
        steps = self._operation.board.steps.transaction(host, transaction)
        first = next((step for step in steps if step.state == "waiting"), None)
        head = [line(f"waits for {self._operation.board.waits_for(first)}; then:")] if first is not None else []
        return [*head, *(line((f"  {step.state:<8}", "dim"), f" {step.label}") for step in steps)]


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")  # noqa: DTZ006  (a person's own time of day)


def _time(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return at
