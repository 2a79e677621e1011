"""The journals of a deployment's units from all its hosts, in one stream. Called by app for `logs`."""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.errors import DeployerError
from deployer.execute.pool import Pool
from deployer.state.observed import Observed, Reached


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


def read_logs(
    pool: Pool,
    fleet: Mapping[str, str],
    units: Mapping[str, Mapping[str, str]],
    *,
    lines: int = 100,
    follow: bool = False,
    since: str | None = None,
) -> Iterator[LogLine]:
    """Without `follow` sorted by time; with it as they come, until the caller stops. Raises the first host's error."""
    if follow:
        yield from _merged(pool, fleet, units, {"lines": lines, "follow": True, "since": since})
        return
    found = list(_merged(pool, fleet, units, {"lines": lines, "follow": False, "since": since}))
    yield from sorted(found, key=lambda line: line.at)


def _merged(
    pool: Pool, fleet: Mapping[str, str], units: Mapping[str, Mapping[str, str]], wanted: Mapping[str, Any]
) -> Iterator[LogLine]:
    inbox: queue.SimpleQueue[LogLine | DeployerError | None] = queue.SimpleQueue()

    def read(host: str) -> None:
        try:
            request = {"fleet": dict(fleet), "units": sorted(units[host]), **wanted}
            channel = pool.connection(host).open("logs", request)
            try:
                for line in channel.lines():
                    if line.get("type") == "log":
                        inbox.put(_line(host, units[host], line))
            finally:
                channel.close()
        except DeployerError as error:
            inbox.put(error)
        inbox.put(None)

    hosts: Sequence[str] = sorted(units)
    for host in hosts:
        threading.Thread(target=read, args=(host,), name=f"logs-{host}", daemon=True).start()
    left = len(hosts)
    while left:
        said = inbox.get()
        if said is None:
            left -= 1
        elif isinstance(said, DeployerError):
            raise said
        else:
            yield said


def _line(host: str, units: Mapping[str, str], line: Mapping[str, Any]) -> LogLine:
    unit = str(line.get("unit", ""))
    return LogLine(host, units.get(unit, unit), unit, str(line.get("at", "")), str(line.get("text", "")))
