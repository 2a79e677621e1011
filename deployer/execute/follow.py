"""Follows the runs of many hosts in one thread: takes their lines, tells the front end, lets the conductor open barriers.
Used by apply (which starts runs) and attach (which finds them running).
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.errors import DeployerError
from deployer.execute.conductor import Conductor, Order
from deployer.execute.copying import AT_ONCE, Copy
from deployer.execute.events import Event, from_line
from deployer.execute.hostrun import Broken, Gone, HostRun, Line, Patience
from deployer.execute.pool import Pool

#: A host that says nothing for so long, ticks included, has lost its connection, whatever TCP believes. Seconds.
SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Pressed:
    """A person pressed Ctrl-C."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """A person wants no new step to be begun, or (False) wants it to go on."""

    paused: bool


@dataclass(frozen=True, slots=True)
class _FeedFailed:
    host: str
    error: DeployerError


class Control:
    """A person's wish, from any thread or a signal handler: `interrupt` once stops at a step boundary, twice, or `leave`,
    leaves it to the hosts; `pause` begins no new step until `resume`. `paused` is None while nobody has said either.
    """

    def __init__(self) -> None:
        self.presses = 0
        self.paused: bool | None = None
        self._inbox: queue.SimpleQueue[Any] | None = None

    def interrupt(self) -> None:
        self._pressed(self.presses + 1)

    def leave(self) -> None:
        """At once what `interrupt` twice says: between two of those the runs may have been told to stop."""
        if self.presses < 2:
            self._pressed(2)

    def _pressed(self, presses: int) -> None:
        self.presses = presses
        if self._inbox is not None:
            self._inbox.put(_Pressed())

    def pause(self) -> None:
        self._say(paused=True)

    def resume(self) -> None:
        self._say(paused=False)

    def _say(self, *, paused: bool) -> None:
        self.paused = paused
        if self._inbox is not None:
            self._inbox.put(_Pause(paused))

    def bind(self, inbox: "queue.SimpleQueue[Any]") -> None:
        self._inbox = inbox
        if self.paused is not None:
            inbox.put(_Pause(self.paused))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Follower:
    def __init__(self, pool: Pool, on_event: Callable[[Event], None], control: Control, patience: Patience) -> None:
        self.conductor = Conductor()
        self.errors: dict[str, DeployerError] = {}  # why nothing more came from a host
        self.left: set[str] = set()  # hosts whose runs go on without us
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self._pool = pool
        self._tell = on_event
        self._control = control
        self._patience = patience
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._runs: dict[str, HostRun] = {}
        self._heard: dict[str, float] = {}
        self._copies: dict[tuple[str, str], Copy] = {}  # (host, step)
        self._turns: dict[str, threading.Semaphore] = {}  # of each host that gives
        control.bind(self._inbox)

    def begin(self, host: str, verb: str, request: Mapping[str, Any]) -> None:
        """Start ("start") or attach to ("attach") the run of one host."""
        run = HostRun(self._pool, host, verb, request, self._inbox, self._patience)
        self._runs[host] = run
        self.began.setdefault(host, time.monotonic())
        self._heard[host] = time.monotonic()
        self.errors.pop(host, None)
        self.conductor.add([host])
        run.begin()

    def until(self, reached: Callable[[], bool]) -> None:
        """Takes what the hosts say until `reached()`; no barrier opens."""
        while not reached():
            self._step()

    def conduct(self, opened: Callable[[str], None]) -> None:
        """Opens barriers until every run has ended. `opened(host)` is called when barriers of a host have opened."""
        while self.conductor.active:
            for host, line in self.conductor.open():
                self._order((host, line))
                opened(host)
            self._step()

    def stop(self, hosts: Iterable[str]) -> None:
        for order in self.conductor.stop(hosts):
            self._order(order)

    def feed(self, host: str, work: Callable[[], None]) -> None:
        """Do `work` in a thread; when it fails, the host's run is stopped and the error is the reason."""

        def feeding() -> None:
            try:
                work()
            except DeployerError as error:
                self._inbox.put(_FeedFailed(host, error))
            except Exception as error:  # noqa: BLE001  (the run would wait for its bytes for ever)
                what = f"unexpected: {type(error).__name__}: {error}".removesuffix(": ")  # not every error has words
                self._inbox.put(_FeedFailed(host, DeployerError(what, where=host)))

        threading.Thread(target=feeding, name=f"feed-{host}", daemon=True).start()

    def post(self, event: Event) -> None:
        """An event from another thread, told in ours."""
        self._inbox.put(event)

    def _step(self) -> None:
        try:
            signal = self._inbox.get(timeout=5.0)
        except queue.Empty:
            self._listen()
            return
        if isinstance(signal, Event):
            self._tell(signal)
        elif isinstance(signal, Line):
            self._line(signal)
        elif isinstance(signal, Broken):
            self._broken(signal)
        elif isinstance(signal, Gone):
            self._gone(signal)
        elif isinstance(signal, _FeedFailed):
            self._feed_failed(signal)
        elif isinstance(signal, _Pause):
            self._pause(signal.paused)
        else:
            self._pressed()

    def _line(self, signal: Line) -> None:
        self._heard[signal.host] = time.monotonic()
        if signal.line.get("type") == "tick":
            self._order((signal.host, {"here": True}))  # a host at a barrier waits as long as it hears of us
            return
        self.conductor.take(signal.host, signal.line)
        if signal.line.get("type") == "locked":  # before that there may have been no connection to say it on
            for order in self.conductor.paused(signal.host):
                self._order(order)
        wants = (signal.line.get("data") or {}).get("wants")
        if wants:
            self._bring(signal.host, str(signal.line.get("step")), wants)
        if signal.line.get("type") != "report":
            self._tell(from_line(signal.host, signal.line, now()))

    def _bring(self, host: str, step: str, wants: Mapping[str, Any]) -> None:
        """Its run asks for a model that another host has."""
        if (host, step) in self._copies:
            return
        request = self._runs[host].request
        turn = self._turns.setdefault(str(wants["host"]), threading.Semaphore(AT_ONCE))
        run = str(request["run"])
        work = Copy(self._pool, host, request["fleet"], run, wants, self._patience, self.post, self._why, turn)
        self._copies[host, step] = work
        self.feed(host, work.run)

    def _why(self, host: str, transaction: str) -> str | None:
        """What went wrong with a transaction, as far as the host said it."""
        ended = self.conductor.results.get(host, {}).get("transactions", {}).get(transaction, {})
        return self.conductor.failures.get((host, transaction)) or ended.get("message")

    def _broken(self, signal: Broken) -> None:
        self._heard[signal.host] = time.monotonic()
        state = "back" if signal.back else "broken"
        message = "connected again" if signal.back else f"connection lost ({signal.error}), trying again; the run goes on there"
        self._tell(Event("host", now(), signal.host, state=state, message=message))
        if signal.back:
            for order in self.conductor.again(signal.host):
                self._order(order)

    def _gone(self, signal: Gone) -> None:
        self.ended[signal.host] = time.monotonic()
        self.conductor.gone(signal.host)
        if signal.error is not None:
            self.errors.setdefault(signal.host, signal.error)
        message = signal.error.what if signal.error else None
        result = self.conductor.results.get(signal.host, {}).get("result")
        self._tell(Event("host", now(), signal.host, state="ended", message=message, data={"result": result}))

    def _feed_failed(self, signal: _FeedFailed) -> None:
        if signal.host in self.conductor.active:
            self.errors[signal.host] = signal.error
            self._tell(Event("host", now(), signal.host, state="failed", message=signal.error.what))
            self.stop([signal.host])

    def _pressed(self) -> None:
        if self._control.presses == 1:
            self._tell(Event("stop", now(), message="finishing the running step, then stopping (again to leave it to the hosts)"))
            self.stop(self.conductor.active)
            return
        for host in self.conductor.active:
            self.left.add(host)
            self._runs[host].leave()
            self.ended[host] = time.monotonic()
            self.conductor.gone(host)

    def _pause(self, paused: bool) -> None:
        message = "finishing the running steps, then waiting until it is resumed" if paused else "going on"
        self._tell(Event("pause", now(), state="asked" if paused else "resumed", message=message))
        for order in self.conductor.pause(paused):
            self._order(order)

    def _order(self, order: Order) -> None:
        """An order that does not get through is given again when the connection is back."""
        host, line = order
        self._runs[host].send(line)

    def _listen(self) -> None:
        """A connection that is silent too long is cut, so that its run is looked for again."""
        limit = time.monotonic() - SILENCE_S
        for host in self.conductor.active:
            if self._heard[host] < limit:
                self._heard[host] = time.monotonic()
                self._pool.drop(host)
