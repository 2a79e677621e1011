"""What hosts say of themselves while somebody looks on: the agent's `watch` on each, one thread per host, tried again when
it breaks. Called by app's Looker.

The pool should be the watch's own: a silent host's connection is dropped, and nothing else may hang on it (decision 0009).
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.execute.pool import Pool
from deployer.state.samples import EngineFigures, GpuSample, Histogram, HostSample, UnitSample
from deployer.transport.base import Channel, Connection

#: A host that says nothing for so long is lost, whatever TCP believes. It says something every 2 s. Seconds.
DEADLINE_S = 5.0
FIRST_S, MOST_S = 0.5, 8.0  # pauses between two tries
REFUSED_S = 60.0  # after a login that was refused: more tries soon would look like an attack
ANSWER_EVERY = 5  # lines after which the host is told that we are here


@dataclass(frozen=True, slots=True)
class Heard:
    sample: HostSample


@dataclass(frozen=True, slots=True)
class Lost:
    """It was heard and is not any more (`fell`), or cannot be reached."""

    host: str
    error: DeployerError
    fell: bool


Tell = Callable[[Heard | Lost], None]


class Watch:
    """`tell` is called from the hosts' threads. `deadline_s`: see DEADLINE_S; `limit`: how many connect at a time."""

    def __init__(
        self,
        pool: Pool,
        fleet: Mapping[str, str],
        tell: Tell,
        *,
        every_s: float = 1.0,
        deadline_s: float = DEADLINE_S,
        limit: int = 32,
    ) -> None:
        self._pool = pool
        self._request = {"fleet": dict(fleet), "every_s": every_s, "gpus": True}
        self._tell = tell
        self._deadline_s = deadline_s
        self._connecting = threading.Semaphore(limit)
        self._stopped = threading.Event()
        self._heard: dict[str, float] = {}  # of those that are up; monotonic seconds
        self._silent: dict[str, DeployerError] = {}  # told to be lost, and their connections are being cut
        self._guard = threading.Lock()

    def begin(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            threading.Thread(target=self._follow, args=(host,), name=f"watch-{host}", daemon=True).start()
        threading.Thread(target=self._listen, name="watch-deadlines", daemon=True).start()

    def stop(self) -> None:
        """Nothing more is told. Returns at once; connections close as soon as they can."""
        self._stopped.set()
        threading.Thread(target=self._pool.close, name="watch-close", daemon=True).start()

    def _follow(self, host: str) -> None:
        pause = FIRST_S
        while not self._stopped.is_set():
            error = self._until_it_breaks(host)
            silent = self._silent.pop(host, None)
            fell = self._forget(host)
            if fell or silent is None:
                self._say(Lost(host, silent or error, fell))
            if fell or silent is not None:
                pause = FIRST_S
            refused = isinstance(error, HostKeyError) or getattr(error, "kind", None) in ("auth", "sudo", "key")
            self._stopped.wait(REFUSED_S if refused else pause)
            pause = min(pause * 2, MOST_S)

    def _until_it_breaks(self, host: str) -> DeployerError:
        """Why it did."""
        connection: Connection | None = None
        try:
            with self._connecting:
                if self._stopped.is_set():
                    return Unreachable("nobody looks on", where=host)
                connection = self._pool.connection(host)
                channel = connection.open("watch", self._request)
            self._read(host, channel)
        except DeployerError as error:
            return error
        except Exception as error:  # noqa: BLE001  (a host must not vanish from sight because of one odd line)
            return DeployerError(f"unexpected: {type(error).__name__}: {error}", where=host)
        finally:
            if connection is not None:
                self._pool.drop(host, connection)
        return Unreachable("the agent ended the watch", where=host)

    def _read(self, host: str, channel: Channel) -> None:
        try:
            for number, line in enumerate(channel.lines(), 1):
                if self._stopped.is_set():
                    return
                with self._guard:
                    self._heard[host] = time.monotonic()
                if line.get("type") == "sample":
                    self._say(Heard(host_sample(host, line)))
                if number % ANSWER_EVERY == 0:
                    channel.send({"here": True})
        finally:
            channel.close()

    def _say(self, signal: Heard | Lost) -> None:
        if not self._stopped.is_set():
            self._tell(signal)

    def _forget(self, host: str) -> bool:
        """Whether it was up."""
        with self._guard:
            return self._heard.pop(host, None) is not None

    def _listen(self) -> None:
        """A host that is silent too long is lost; its connection is cut, so that it is tried again."""
        while not self._stopped.wait(min(self._deadline_s / 4, 0.5)):
            limit = time.monotonic() - self._deadline_s
            with self._guard:
                silent = [host for host, heard in self._heard.items() if heard < limit]
                for host in silent:
                    del self._heard[host]
            for host in silent:
                what = f"it says nothing for {self._deadline_s:g} s"
                self._silent[host] = error = Unreachable(what, where=host, kind="timeout")
                self._say(Lost(host, error, fell=True))
                threading.Thread(target=self._pool.drop, args=(host,), name=f"drop-{host}", daemon=True).start()


def host_sample(host: str, line: Mapping[str, Any]) -> HostSample:
    """A wire.Sample as values."""
    return HostSample(
        host=host,
        at=float(line.get("at", 0.0)),
        gpus=tuple(_gpu(one) for one in line.get("gpus") or ()),
        units=tuple(_unit(one) for one in line.get("units") or ()),
        memory_total=line.get("memory_total"),
        memory_available=line.get("memory_available"),
        load=line.get("load"),
        standing=str(line.get("standing") or ""),
    )


def _gpu(said: Mapping[str, Any]) -> GpuSample:
    return GpuSample(
        uuid=str(said["uuid"]),
        index=int(said["index"]),
        name=str(said.get("name") or "GPU"),
        memory_total=int(said.get("memory_total") or 0),
        memory_used=int(said.get("memory_used") or 0),
        utilization=said.get("utilization"),
        temperature=said.get("temperature"),
    )


def _unit(said: Mapping[str, Any]) -> UnitSample:
    figures = said.get("figures")
    return UnitSample(
        unit=str(said["unit"]),
        replica=str(said["replica"]),
        active=str(said.get("active", "unknown")),
        phase=said.get("phase"),
        figures=_figures(figures) if figures else None,
    )


def _figures(said: Mapping[str, Any]) -> EngineFigures:
    return EngineFigures(
        at=float(said.get("at", 0.0)),
        running=said.get("running"),
        waiting=said.get("waiting"),
        kv_cache=said.get("kv_cache"),
        requests=said.get("requests"),
        prompt_tokens=said.get("prompt_tokens"),
        generation_tokens=said.get("generation_tokens"),
        ttft=Histogram(tuple((math.inf if bound is None else bound, count) for bound, count in said.get("ttft") or ())),
    )
