"""The journals of a deployment's units from all its hosts, in one stream. Called by app for `logs`."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import DeployerError
from deployer.execute.pool import Pool
from deployer.state.observed import Observed, Reached
from deployer.transport.base import Channel


@dataclass(frozen=True, slots=True)
class LogLine:
    """`at` is ISO 8601, UTC. `replica` is "chat/0"."""

    host: str
    replica: str
    unit: str
    at: str
    text: str

    def json(self) -> dict[str, Any]:
        return {"host": self.host, "replica": self.replica, "unit": self.unit, "at": self.at, "text": self.text}


def units_of(observed: Observed, name: str) -> dict[str, dict[str, str]]:
    """Host → unit → replica, as the hosts' records say."""
    found: dict[str, dict[str, str]] = {}
    for host, reached in sorted(observed.items()):
        if not isinstance(reached, Reached):
            continue
        for resource in reached.probe.get("records", {}).get(name, {}).get("resources", ()):
            if resource["kind"] == "replica":
                found.setdefault(host, {})[str(resource["payload"]["unit"])] = str(resource["name"])
    return found


def request_logs(observed: Observed, name: str) -> dict[str, dict[str, str]]:
    """Host → unit → where its records of requests go; units that write none are left out."""
    found: dict[str, dict[str, str]] = {}
    for host, reached in sorted(observed.items()):
        record = reached.probe.get("records", {}).get(name, {}) if isinstance(reached, Reached) else {}
        for resource in record.get("resources", ()):
            sink = resource.get("payload", {}).get("requests")
            if resource["kind"] == "replica" and sink:
                found.setdefault(host, {})[str(resource["payload"]["unit"])] = str(sink)
    return found


class LogStream(Iterator[LogLine]):
    """Lines of several hosts as they come. `close`, from any thread, ends it here and on the hosts.

    A host whose log breaks off ends the stream with its error; with `lost` that is told instead, and the others go on.
    """

    def __init__(
        self,
        pool: Pool,
        fleet: Mapping[str, str],
        units: Mapping[str, Mapping[str, str]],
        wanted: Mapping[str, Any],
        lost: Callable[[str, DeployerError], None] | None = None,
        sinks: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._pool, self._units, self._lost, self._sinks = pool, units, lost, sinks or {}
        self._request = {"fleet": dict(fleet), **wanted}
        self._inbox: queue.SimpleQueue[LogLine | tuple[str, DeployerError | None]] = queue.SimpleQueue()
        self._open: list[Channel] = []
        self._guard = threading.Lock()
        self._closed = False
        self._left = len(units)
        for host in sorted(units):
            threading.Thread(target=self._read, args=(host,), name=f"logs-{host}", daemon=True).start()

    def __next__(self) -> LogLine:
        while self._left and not self._closed:
            said = self._inbox.get()
            if isinstance(said, LogLine):
                return said
            host, error = said
            self._left -= 1
            if error is None or self._closed:
                continue
            if self._lost is None:
                self.close()
                raise error
            self._lost(host, error)
        self.close()
        raise StopIteration

    def close(self) -> None:
        with self._guard:
            self._closed = True
            channels, self._open = self._open, []
        for channel in channels:
            channel.close()
        self._inbox.put(("", None))

    def _asked(self, host: str) -> dict[str, Any]:
        asked = {**self._request, "units": sorted(self._units[host])}
        sinks = self._sinks.get(host, {})
        if not asked.get("requests"):
            return {**asked, "logged": "journald" in sinks.values()}
        files = {unit: replica for unit, replica in self._units[host].items() if sinks.get(unit) == "file"}
        return {**asked, "files": files} if files else asked

    def _read(self, host: str) -> None:
        try:
            channel = self._pool.connection(host).open("logs", self._asked(host))
            with self._guard:
                self._open.append(channel)
                closed = self._closed
            try:
                for line in channel.lines() if not closed else ():
                    if line.get("type") == "log":
                        self._inbox.put(_line(host, self._units[host], line))
            finally:
                channel.close()
        except DeployerError as error:
            self._inbox.put((host, error))
        else:
            self._inbox.put((host, None))


def read_logs(
    pool: Pool,
    fleet: Mapping[str, str],
    units: Mapping[str, Mapping[str, str]],
    *,
    lines: int = 100,
    follow: bool = False,
    since: str | None = None,
    lost: Callable[[str, DeployerError], None] | None = None,
    sinks: Mapping[str, Mapping[str, str]] | None = None,
    requests: bool = False,
) -> LogStream | Iterator[LogLine]:
    """Without `follow` sorted by time; with it a LogStream, to be closed by who made it."""
    wanted = {"lines": lines, "follow": follow, "since": since, **({"requests": True} if requests else {})}
    stream = LogStream(pool, fleet, units, wanted, lost, sinks)
    return stream if follow else iter(sorted(stream, key=lambda line: line.at))


def _line(host: str, units: Mapping[str, str], line: Mapping[str, Any]) -> LogLine:
    unit = str(line.get("unit", ""))
    return LogLine(host, units.get(unit, unit), unit, str(line.get("at", "")), str(line.get("text", "")))
