"""Asks hosts again when something on them may have changed, each at most every so often, and says when there is a new picture
of all. Used by Looker.
"""

import threading
import time
from collections.abc import Callable, Mapping

from deployer.errors import DeployerError
from deployer.execute.probe import unreached
from deployer.state.observed import Observed, Reached, Unreached

EVERY_S = 2.0  # a host is asked at most so often
AGAIN_S = 8.0  # after a probe that failed while the host still talks to us
PICTURE_S = 0.25  # and a new picture is made at most so often
LIMIT = 16  # probes at a time

Found = Reached | Unreached


class Reprobing:
    """`probe(host)` is called from threads of ours, `changed(observed, remembered)` from one: `remembered` holds the last
    answer of every host that ever gave one.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        probe: Callable[[str], Found],
        changed: Callable[[Observed, Observed], None],
        known: Mapping[str, Found] | None = None,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._hosts = hosts
        self._probe = probe
        self._changed = changed
        self._every_s = every_s
        self.remembered = {name: one for name, one in (known or {}).items() if name in hosts}
        self._observed: dict[str, Found] = {}
        self._wanted: set[str] = set()
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._lost: dict[str, int] = {}  # how often; an answer from before the last time is no answer
        self._dirty = False
        self._stopped = False
        self._change = threading.Condition()

    def begin(self) -> None:
        threading.Thread(target=self._run, name="reprobing", daemon=True).start()

    def stop(self) -> None:
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def want(self, host: str) -> None:
        """Something on this host may have changed."""
        with self._change:
            self._wanted.add(host)
            self._change.notify_all()

    def picture(self) -> None:
        """A new picture is wanted although no host said anything new: the files changed."""
        with self._change:
            self._dirty = True
            self._change.notify_all()

    def unreachable(self, host: str, error: DeployerError) -> None:
        with self._change:
            self._lost[host] = self._lost.get(host, 0) + 1
            self._wanted.discard(host)
            found = unreached(host, error)
            if self._observed.get(host) != found:
                self._observed[host] = found
                self._dirty = True
                self._change.notify_all()

    def _run(self) -> None:
        drawn = 0.0
        while True:
            with self._change:
                if self._stopped:
                    return
                now = time.monotonic()
                for host in self._due(now):
                    self._wanted.discard(host)
                    self._busy.add(host)
                    self._not_before[host] = now + self._every_s
                    threading.Thread(
                        target=self._ask, args=(host, self._lost.get(host, 0)), name=f"probe-{host}", daemon=True
                    ).start()
                ready = self._dirty and len(self._observed) == len(self._hosts)
                if not ready or now - drawn < PICTURE_S:
                    self._change.wait(self._pause(now, PICTURE_S if ready else None))
                    continue
                self._dirty = False
                observed, remembered = dict(self._observed), dict(self.remembered)
            drawn = now
            self._changed(observed, remembered)

    def _due(self, now: float) -> list[str]:
        ready = [host for host in sorted(self._wanted - self._busy) if self._not_before.get(host, 0.0) <= now]
        return ready[: max(LIMIT - len(self._busy), 0)]

    def _pause(self, now: float, most: float | None) -> float | None:
        """Until the next host may be asked; None: until something happens."""
        waits = [max(self._not_before.get(host, 0.0) - now, 0.01) for host in self._wanted - self._busy]
        if len(self._busy) >= LIMIT:
            waits = []
        return min([*waits, *([most] if most is not None else [])], default=None)

    def _ask(self, host: str, lost: int) -> None:
        try:
            found = self._probe(host)
        except Exception as error:  # noqa: BLE001  (the host would never be asked again)
            found = unreached(host, DeployerError(f"unexpected: {type(error).__name__}: {error}", where=host))
        with self._change:
            self._busy.discard(host)
            if self._lost.get(host, 0) == lost:
                self._observed[host] = found
                self._dirty = True
                if isinstance(found, Reached):
                    self.remembered[host] = found
                else:
                    self._wanted.add(host)
                    self._not_before[host] = time.monotonic() + AGAIN_S
            self._change.notify_all()
