"""One running verb of the agent as a Channel, whatever carries its bytes. Made by `transport.bootstrap`."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from deployer.agent.plain import ODD, plain, plain_values
from deployer.errors import DeployerError, Unreachable

#: How often a reader looks whether its link is still alive, in seconds.
LOOK_S = 5.0
_KEPT_ERR = 8192
#: Of a probe: what is held against the files, byte by byte.
_COMPARED = frozenset({"records", "history", "roster", "secret_key"})
#: How JSON writes a character that `plain` does not leave as it is, if not as itself. Most lines hold none, and a probe is long.
_ESCAPED = re.compile(r"\\[ubfr]")


@dataclass(frozen=True, slots=True)
class News:
    """What a command said since the last look. `ended`: nothing more will come."""

    out: bytes
    err: bytes
    ended: bool


class Exec(Protocol):
    """A command that runs on a host. One thread polls; others may write."""

    def poll(self, timeout_s: float) -> News:
        """Returns as soon as there is something, at the latest after `timeout_s`."""

    def write(self, data: bytes) -> None:
        """Blocks while the other side does not read. Raises OSError when it is gone."""

    def end_input(self) -> None: ...

    def status(self) -> int | None:
        """The exit status; from 129 on: 128 and the signal. None when it is not known."""

    def lost(self) -> bool:
        """Whether it is the way to the host that broke, not the command."""

    def close(self) -> None: ...


class VerbChannel:
    """Implements transport.base.Channel. `lines` and `read_bytes` are for one thread, the rest for any."""

    def __init__(self, host: str, running: Exec, first: bytes = b"") -> None:
        self._host = host
        self._exec = running
        self._buffer = first
        self._err = b""
        self._closed = False
        self._ended = False
        self._writing = threading.Lock()
        self._reading = threading.Lock()

    def lines(self) -> Iterator[dict[str, Any]]:
        """The verb's JSON lines up to and with its "end". Raises DeployerError for the agent's own error, Unreachable when
        the connection breaks before the end; ends quietly after `close`."""
        while True:
            with self._reading:
                line = self._next()
            if line is None:
                return
            if line.get("type") == "error":
                raise self._said(line)
            yield line
            if line.get("type") == "end":
                self._ended = True
                return

    def read_bytes(self, most: int) -> bytes:
        """Raw bytes that follow the last line, at least one; what has not come yet stays on the host. Raises like `lines`."""
        with self._reading:
            while not self._buffer:
                if self._closed:
                    raise self._broken()
                self._more()
            data, self._buffer = self._buffer[:most], self._buffer[most:]
            return data

    def send(self, line: Mapping[str, Any]) -> None:
        self.send_bytes(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        """Blocks while the host cannot take more. Raises what the agent said, when it ended instead of reading."""
        with self._writing:
            try:
                self._exec.write(data)
                return
            except OSError:
                pass
        raise self._why_not()

    def done_sending(self) -> None:
        with self._writing:
            self._exec.end_input()

    def close(self) -> None:
        self._closed = True
        self._exec.close()

    def _next(self) -> dict[str, Any] | None:
        while not self._closed and not self._ended:
            raw, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                if (line := _parsed(raw)) is not None:
                    return line
                continue
            self._more()
        return None

    def _more(self) -> None:
        """What the command says within a while. Raises when it has ended, but not after `close`."""
        news = self._exec.poll(LOOK_S)
        self._buffer += news.out
        self._err = (self._err + news.err)[-_KEPT_ERR:]
        if news.ended and not news.out and not self._closed:
            raise self._broken()

    def _why_not(self) -> DeployerError:
        """Why nothing can be sent: the agent's last words, if it has any."""
        if self._reading.acquire(blocking=False):
            try:
                while (line := self._next()) is not None:
                    if line.get("type") == "error":
                        return self._said(line)
            except DeployerError as e:
                return e
            finally:
                self._reading.release()
        return self._broken()

    def _said(self, line: Mapping[str, Any]) -> DeployerError:
        """The agent's own error; one of the bootstrap means that there is no agent."""
        what, hint = str(line.get("message", "it failed")), line.get("hint")
        if line.get("stage") == "bootstrap":
            return Unreachable(what, where=self._host, hint=hint, kind="agent")
        return DeployerError(what, where=self._host, hint=hint)

    def _broken(self) -> DeployerError:
        if self._closed:
            return Unreachable("the connection was closed", where=self._host)
        if self._exec.lost():
            return Unreachable("the connection was lost", where=self._host)
        status = self._exec.status()
        lines = [line.strip() for line in plain(self._err.decode(errors="replace")).splitlines() if line.strip()]
        last = f": {lines[-1][:300]}" if lines else ""
        if status is None:
            return Unreachable(f"the agent went away{last}", where=self._host)
        how = f"was killed (signal {status - 128})" if 128 < status < 160 else f"ended (exit status {status})"
        return DeployerError(f"the agent {how} without an answer{last}", where=self._host)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """A line that is no JSON object is no line of the agent. It may hold what anybody on the host said: nothing is left in it for
    a terminal to obey, but in what a plan compares.
    """
    try:
        text = raw.decode("utf-8", "surrogatepass")
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict):
        return None
    if _ESCAPED.search(text) is None and ODD.search(text) is None:
        return line
    return {key: value if key in _COMPARED else plain_values(value) for key, value in line.items()}
