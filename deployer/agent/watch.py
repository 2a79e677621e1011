"""`watch`: a host's live figures over one standing connection, a line per interval. Takes no lock and writes nothing.

It never outlives its connection: an end that the controller closes ends it, a line that cannot be written, and a minute
without a word of the controller (a link may be dead long before TCP says so).
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Generic, List, Optional, TypeVar

from deployer.agent import paths, systemctl, wire
from deployer.agent.facts import engine, machine
from deployer.agent.facts.standing import Standing
from deployer.agent.system import System
from deployer.agent.talk import Talk

T = TypeVar("T")

LEAST_S, MOST_S = 0.1, 60.0  # of the interval
TICK_S = 2.0  # something is said at least so often
SILENCE_S = 60.0
ENGINES_S = 2.0  # an engine is asked for its figures at most so often
SYSTEMD_S = 1.0
PATIENCE_S = 0.5  # what a sample waits for an answer; one that comes later is in the next


def watch(system: System, request: Dict[str, Any], talk: Talk) -> None:
    fleet = paths.check_fleet(request["fleet"])
    every = min(max(float(request.get("every_s") or 1.0), LEAST_S), MOST_S)
    only = [paths.own_unit(fleet, str(unit)) for unit in request.get("units") or []]
    host = _Host(system, fleet, bool(request.get("gpus", True)), only)
    words = talk.words()
    heard = due = system.clock()
    while True:
        now = system.clock()
        heard = now if words.next() else heard
        if words.ended or now - heard > max(SILENCE_S, 30 * every):
            return
        if now >= due:
            talk.say(dict(host.sample(now, min(PATIENCE_S, every / 2)), type="sample"))
            due = max(due + every, now)
        else:
            talk.say({"type": "tick"})
        system.beat(min(max(due - system.clock(), 0.0), TICK_S))


class _Asked(Generic[T]):
    """One thing that is asked again and again, in a thread of its own: where one hangs, the others go on."""

    def __init__(self, ask: Callable[[float], T], every_s: float, first: T) -> None:
        self._ask = ask
        self._every_s = every_s
        self._value = first
        self._error: Optional[Exception] = None
        self._at = -1e9
        self._done = threading.Event()
        self._done.set()
        self._new = False

    def begin(self, now: float) -> None:
        self._new = self._done.is_set() and now - self._at > self._every_s - LEAST_S / 2
        if self._new:
            self._at = now
            self._done.clear()
            threading.Thread(target=self._work, args=(now,), daemon=True).start()

    def value(self, seconds: float) -> T:
        """The last answer. One that this tick began is waited for, so long at most; one that hangs since earlier is not."""
        if self._new:
            self._done.wait(max(seconds, 0.0))
        if self._error is not None:
            raise self._error
        return self._value

    def _work(self, now: float) -> None:
        try:
            self._value = self._ask(now)
        except Exception as error:  # noqa: BLE001  (raised again in the thread that asks for the value)
            self._error = error
        finally:
            self._done.set()


class _Host:
    def __init__(self, system: System, fleet: wire.Fleet, gpus: bool, only: List[str]) -> None:
        self._system = system
        self._only = only
        self._standing = Standing(system, fleet)
        self._cpus = machine.cpus(system)
        self._engines: Dict[int, _Asked[Any]] = {}  # by port
        self._units: _Asked[Any] = _Asked(self._ask_systemd, SYSTEMD_S, None)
        read = system.gpu_reader() if gpus else list
        self._gpus: _Asked[List[Dict[str, Any]]] = _Asked(lambda _: read(), 0.0, [])

    def _ask_systemd(self, now: float) -> Any:
        return systemctl.show(self._system, self._standing.units, systemctl.GLANCE)

    def sample(self, now: float, patience_s: float) -> Dict[str, Any]:
        """A wire.Sample. Waits at most `patience_s` seconds."""
        end = self._system.clock() + patience_s
        self._standing.look()
        self._units.begin(now)
        self._gpus.begin(now)
        shown = self._units.value(end - self._system.clock()) or {}
        units = self._replicas(shown, now)
        gpus = self._gpus.value(end - self._system.clock())
        for unit in units:
            asked = self._engines.get(unit.pop("port") or 0) if unit["active"] == "active" else None
            unit["figures"] = asked.value(end - self._system.clock()) if asked is not None else None
        memory, load = machine.memory_of(self._system), machine.load(self._system)
        return {
            "at": round(now, 3),
            "gpus": gpus,
            "units": units,
            "memory_total": memory.get("MemTotal"),
            "memory_available": memory.get("MemAvailable"),
            "load": None if load is None else round(load / self._cpus, 3),
            "standing": self._standing.digest([sorted(shown.items()), [gpu["uuid"] for gpu in gpus]]),
        }

    def _replicas(self, shown: Dict[str, Dict[str, str]], now: float) -> List[Dict[str, Any]]:
        """The replicas' units; engines that serve are being asked for their figures."""
        found: List[Dict[str, Any]] = []
        for unit, replica in sorted(self._standing.replicas.items()):
            if self._only and unit not in self._only:
                continue
            active = shown.get(unit, {}).get("ActiveState", "unknown")
            if active == "active" and replica.port is not None:
                self._engine(replica.port).begin(now)
            phase = self._standing.phases.get(unit) if active == "activating" else None
            found.append({"unit": unit, "replica": replica.name, "active": active, "phase": phase, "port": replica.port})
        ports = {one["port"] for one in found}
        self._engines = {port: asked for port, asked in self._engines.items() if port in ports}
        return found

    def _engine(self, port: int) -> _Asked[Any]:
        if port not in self._engines:
            self._engines[port] = _Asked(lambda now: engine.scrape(self._system, port, now), ENGINES_S, None)
        return self._engines[port]
