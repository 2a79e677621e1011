"""Looks at the whole fleet as long as somebody wants to see it: keeps a FleetNow from what the hosts say over their standing
connections. Owned by the session.
"""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.app.hostview import HostView, of_deployments
from deployer.app.looking import FleetNow
from deployer.app.reprobing import EVERY_S, Reprobing
from deployer.app.values import Status
from deployer.errors import DeployerError
from deployer.execute.probe import probe_hosts
from deployer.execute.watch import DEADLINE_S, Heard, Lost, Watch
from deployer.state.observed import Observed, Reached, Unreached

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.execute.pool import Pool

FRESH_S = 0.2  # a picture made so lately is not made again when nothing was heard since
CONNECT_S = 5.0


class Looker:
    """`now` never blocks and may be asked by any thread; what it returns does not change any more."""

    def __init__(
        self, fleet: "Fleet", every_s: float = 1.0, *, deadline_s: float = DEADLINE_S, probe_every_s: float = EVERY_S
    ) -> None:
        self._fleet = fleet
        self._every_s = every_s
        self._deadline_s = deadline_s
        self._probe_every_s = probe_every_s
        self._guard = threading.RLock()
        self._views = {name: HostView(name, every_s) for name in sorted(fleet.spec.hosts)}
        self._status: Status | None = None
        self._owners: dict[str, dict[str, str]] = {}
        self._tick = 0
        self._made = (FleetNow(), -1, 0.0)
        self._looking: _Connections | None = None

    def start(self) -> None:
        self._connect({})

    def stop(self) -> None:
        """Nothing is heard any more; the last picture stays."""
        with self._guard:
            looking, self._looking = self._looking, None
        if looking is not None:
            looking.stop()

    def replace(self, fleet: "Fleet") -> None:
        """The files were read again. New hosts are looked at, hosts that are in no file any more are not; when the hosts are
        the same, connections stay.
        """
        with self._guard:
            same = fleet.spec.hosts == self._fleet.spec.hosts and fleet.spec.id == self._fleet.spec.id
            self._fleet = fleet
            looking = self._looking
            if not same:
                names = sorted(fleet.spec.hosts)
                self._views = {name: self._views.get(name) or HostView(name, self._every_s) for name in names}
                for view in self._views.values():
                    view.standing = None  # new connections: the next sample of each host is news
                self._tick += 1
        if looking is None:
            return
        if same:
            looking.reprobing.picture()
        else:
            self.stop()
            self._connect(looking.reprobing.remembered)

    def now(self) -> FleetNow:
        at = time.monotonic()
        with self._guard:
            made, tick, when = self._made
            if tick == self._tick and at - when < FRESH_S:
                return made
            away = any(view.state != "up" for view in self._views.values())
            if away and at - when >= 1.0:
                self._tick += 1  # "heard 12 s ago" grows although nobody says anything
            up = {name: one for view in self._views.values() if view.state == "up" for name, one in view.replicas.items()}
            hosts = {name: view.shown(at, self._owners.get(name, {})) for name, view in self._views.items()}
            found = FleetNow(self._tick, self._status, hosts, of_deployments(up))
            self._made = (found, self._tick, at)
            return found

    def remembered(self) -> Observed:
        """The last answer of every host that gave one. Never blocks."""
        looking = self._looking
        return dict(looking.reprobing.remembered) if looking is not None else {}

    def _connect(self, known: Mapping[str, Reached | Unreached]) -> None:
        """In a thread: the first connection loads the SSH library."""
        with self._guard:
            looking = self._looking = _Connections(self, self._fleet, known)
        threading.Thread(target=looking.begin, name="looker", daemon=True).start()

    def _hear(self, looking: "_Connections", signal: Heard | Lost) -> None:
        with self._guard:
            if looking is not self._looking:
                return
            self._tick += 1
            if isinstance(signal, Heard):
                changed = self._views[signal.sample.host].hear(signal.sample, time.monotonic())
            else:
                self._views[signal.host].lose(signal.error, signal.fell)
        if isinstance(signal, Lost):
            if not signal.fell:
                looking.reprobing.unreachable(signal.host, signal.error)
        elif changed:
            looking.reprobing.want(signal.sample.host)

    def _picture(self, looking: "_Connections", observed: Observed, remembered: Observed) -> None:
        """A new status from what the hosts answered."""
        status = self._fleet.status(observed=observed, remembered=remembered)
        owners = {
            host.name: {str(gpu["uuid"]): str(gpu["replica"]) for gpu in host.gpus if gpu.get("replica")} for host in status.hosts
        }
        with self._guard:
            if looking is self._looking:
                kept = {name: self._owners[name] for name in self._owners if name in observed and not owners.get(name)}
                self._status, self._owners = status, {**owners, **kept}
                self._tick += 1


class _Connections:
    """One list of hosts, looked at. They are the watch's own: see decision 0009."""

    def __init__(self, looker: Looker, fleet: "Fleet", known: Mapping[str, Reached | Unreached]) -> None:
        self._looker = looker
        self._fleet = fleet
        self._hosts = tuple(sorted(fleet.spec.hosts))
        self._pool: Pool | None = None
        self._watch: Watch | None = None
        self._stopped = False
        self._guard = threading.Lock()
        self.reprobing = Reprobing(
            self._hosts,
            self._probe,
            lambda observed, remembered: looker._picture(self, observed, remembered),
            known,
            every_s=looker._probe_every_s,
        )

    def begin(self) -> None:
        fleet, looker = self._fleet, self._looker
        try:
            pool = fleet.open_pool(connect_timeout_s=CONNECT_S)
        except DeployerError as error:
            for host in self._hosts:
                looker._hear(self, Lost(host, error, fell=False))
            self.reprobing.begin()
            return
        about = {"id": fleet.spec.id, "name": fleet.spec.name}
        tell = lambda signal: looker._hear(self, signal)  # noqa: E731
        with self._guard:
            if self._stopped:
                return
            self._pool = pool
            self._watch = Watch(pool, about, tell, every_s=looker._every_s, deadline_s=looker._deadline_s)
            self.reprobing.begin()
            self._watch.begin(self._hosts)

    def stop(self) -> None:
        with self._guard:
            self._stopped = True
            if self._watch is not None:
                self._watch.stop()
        self.reprobing.stop()

    def _probe(self, host: str) -> Reached | Unreached:
        assert self._pool is not None
        return probe_hosts(self._pool, [host], self._fleet.spec)[host]
