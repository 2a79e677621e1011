"""What is on the hosts: one connection and one exec per host, many hosts at once. Called by app before plan and status."""

import functools
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, cast

from deployer.agent.packed import unpacked
from deployer.agent.wire import Probe, ProbeRequest
from deployer.engines import programs
from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.execute.fanout import fan_out
from deployer.execute.pool import Pool
from deployer.spec.models import FleetSpec, HostSpec
from deployer.state.observed import Observed, Reached, Unreached

_READING = threading.Lock()  # many hosts answer at the same moment


def probe_request(
    host: HostSpec, fleet: FleetSpec, *, gpus: bool = True, verify: bool = False, history: Iterable[str] = ()
) -> ProbeRequest:
    """What the agent is asked on this host. Apply sends the same again, to read the fingerprint in the same way.
    `history`: deployments whose revisions are wanted whole.
    """
    paths = {d.model.host_path for d in fleet.deployments.values() if d.model.host_path}
    paths |= {str(PurePosixPath(program).parent) for d in fleet.deployments.values() for program in programs(d)}
    request = ProbeRequest(
        fleet={"id": fleet.id, "name": fleet.name},
        paths={str(kind): path for kind, path in host.paths.items()},
        ports=list(host.ports),
        host_paths=sorted(paths),
        verify=verify,
        gpus=gpus,
    )
    whole = list(history)
    if whole:
        request["history"] = whole
    return request


def probe_hosts(
    pool: Pool,
    hosts: Iterable[str],
    fleet: FleetSpec,
    *,
    limit: int = 32,
    deadline_s: float = 20.0,
    gpus: bool = True,
    verify: bool = False,
    history: Sequence[str] = (),
) -> Observed:
    """Ask every host. One that does not answer within `deadline_s` seconds is Unreached: data, not an exception."""

    def one(name: str) -> Reached | Unreached:
        started, wall = time.monotonic(), time.time()
        try:
            probe = _probe(pool, name, probe_request(pool.hosts[name], fleet, gpus=gpus, verify=verify, history=history))
        except DeployerError as error:
            pool.drop(name)
            return unreached(name, error)
        seconds = time.monotonic() - started
        return Reached(name=name, probe=probe, seconds=seconds, clock_s=_ahead(probe.get("at"), wall, wall + seconds))

    def late(name: str) -> Reached | Unreached:
        pool.drop(name)
        return Unreached(name=name, kind="timeout", message=f"no answer after {deadline_s:g} s")

    return fan_out(hosts, one, limit=limit, deadline_s=deadline_s, late=late)


def unreached(name: str, error: DeployerError) -> Unreached:
    """An error of a connection as data. The transport may say which kind it was; a wrong key is always said."""
    if isinstance(error, HostKeyError):
        kind = "key"
    elif isinstance(error, Unreachable):
        kind = str(getattr(error, "kind", None) or "timeout")
    else:
        kind = "agent"
    return Unreached(name=name, kind=kind, message=error.what, hint=error.hint)


def _ahead(at: str | None, asked: float, answered: float) -> float | None:
    """How far a host's clock is ahead of ours, negative when behind: as much as is certain, for it was read between the two."""
    try:
        there = datetime.fromisoformat(at or "").timestamp()
    except ValueError:
        return None
    return there - answered if there > answered else there - asked if there < asked else 0.0


def _roster(host: str, packed: str | None) -> dict[str, Any] | None:
    """Of a large fleet it is a large part of every answer, and everywhere the same: it is read once, and shared."""
    if packed is None:
        return None
    try:
        with _READING:
            return _unpacked(packed)
    except ValueError as error:
        raise Unreachable(f"the agent's roster cannot be read: {error}", where=host) from error


@functools.lru_cache(maxsize=8)
def _unpacked(packed: str) -> dict[str, Any]:
    return cast("dict[str, Any]", unpacked(packed))


def _probe(pool: Pool, name: str, request: ProbeRequest) -> Probe:
    channel = pool.connection(name).open("probe", cast("dict[str, object]", request))
    try:
        found: Probe | None = None
        for line in channel.lines():
            if line.get("type") == "probe":
                read = {key: value for key, value in line.items() if key != "type"}
                found = cast(Probe, read | {"roster": _roster(name, line.get("roster"))})
    finally:
        channel.close()
    if found is None:
        raise Unreachable("the agent ended without an answer", where=name)
    return found
