"""One host's run as the controller sees it: starts or attaches, passes its lines on, and finds its way back when the
connection breaks. Called by apply and attach; one thread per host.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.execute.pool import Pool
from deployer.transport.base import Channel


@dataclass(frozen=True, slots=True)
class Line:
    """One line that the agent on `host` wrote."""

    host: str
    line: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection broke (`back` False) or stands again (`back` True)."""

    host: str
    error: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing more will come from this host. `error` None: its report was the last line."""

    host: str
    error: DeployerError | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a broken connection is tried again, in seconds, and how we wait between two tries. `silence_s`: how long a
    host that stands at a barrier waits when it hears nothing of us; None: as each barrier says.
    """

    total_s: float = 90.0
    first_s: float = 0.5
    most_s: float = 8.0
    wait: Callable[[float], object] = time.sleep
    silence_s: float | None = None


class HostRun:
    """`verb` and `request` are "start" with a RunRequest, or "attach" with {"run", "offset"}.

    Every signal goes into `inbox`: Line, Broken, and exactly one Gone at the end.
    """

    def __init__(
        self,
        pool: Pool,
        host: str,
        verb: str,
        request: Mapping[str, Any],
        inbox: "queue.SimpleQueue[Any]",
        patience: Patience,
    ) -> None:
        self.host = host
        self._pool = pool
        self._verb = verb
        self.request = request
        self._inbox = inbox
        self._patience = patience
        self._channel: Channel | None = None
        self._offset = int(request.get("offset", 0))
        self._started = verb == "attach"
        self._reported = False
        self._left = False

    def begin(self) -> None:
        threading.Thread(target=self._follow, name=f"run-{self.host}", daemon=True).start()

    def send(self, line: Mapping[str, Any]) -> bool:
        """One order to the run. False when there is no connection now: it must be sent again when it is back."""
        channel = self._channel
        if channel is None:
            return False
        try:
            channel.send(line)
        except (DeployerError, OSError):
            return False
        return True

    def leave(self) -> None:
        """Stop following; the run goes on alone."""
        self._left = True
        self.send({"detach": True})

    def _follow(self) -> None:
        error: DeployerError | None = None
        try:
            self._until_report()
        except DeployerError as found:
            error = found
        except Exception as found:  # noqa: BLE001  (a thread must end with an answer, or the apply would wait for ever)
            error = DeployerError(f"unexpected: {type(found).__name__}: {found}", where=self.host)
        finally:
            channel, self._channel = self._channel, None
            if channel is not None:
                channel.close()
        self._inbox.put(Gone(self.host, error))

    def _until_report(self) -> None:
        """Reads until the report. Raises DeployerError when the agent says so, Unreachable when patience is at its end."""
        verb, request = self._verb, self.request
        while True:
            try:
                self._read(verb, request)
            except HostKeyError:
                raise
            except Unreachable as error:
                if self._reported or self._left:
                    return
                self._inbox.put(Broken(self.host, error.what))
                self._wait_for_host()
            if self._reported or self._left:
                return
            if self._started:
                verb, request = "attach", {**self._envelope(), "offset": self._offset}

    def _envelope(self) -> dict[str, Any]:
        return {"fleet": self.request["fleet"], "run": self.request["run"]}

    def _read(self, verb: str, request: Mapping[str, Any]) -> None:
        connection = self._pool.connection(self.host)
        try:
            channel = connection.open(verb, request)
            self._channel = channel
            if verb == "attach" and self._started and verb != self._verb:
                self._inbox.put(Broken(self.host, "", back=True))
            for line in channel.lines():
                self._take(line)  # also after the report: the verb's own end tells the run that it was read
            if not self._reported and not self._left:
                raise Unreachable("the connection ended before the run did", where=self.host)
        except Unreachable:
            self._channel = None
            self._pool.drop(self.host, connection)
            raise

    def _take(self, line: Mapping[str, Any]) -> None:
        self._started = True
        self._offset = int(line.get("offset", self._offset))
        if line.get("type") == "report":
            self._reported = True
        if line.get("type") not in ("end", "error"):
            self._inbox.put(Line(self.host, line))

    def _wait_for_host(self) -> None:
        """Until the host can be reached again. Raises Unreachable when it cannot for `patience.total_s` seconds."""
        pause, waited = self._patience.first_s, 0.0
        while True:
            self._patience.wait(pause)
            waited += pause
            try:
                self._pool.connection(self.host)
            except HostKeyError:
                raise
            except Unreachable as error:
                if waited >= self._patience.total_s or self._left:
                    raise Unreachable(
                        f"connection lost for {waited:.0f} s: {error.what}",
                        where=self.host,
                        hint="the run decides there by itself: deployer attach follows it, the next plan shows what it left",
                    ) from error
                pause = min(pause * 2, self._patience.most_s)
            else:
                return
