"""Jump hosts, each logged in to once however many hosts lie behind it. Used by `ssh.connection`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployer.errors import HostKeyError, Unreachable
from deployer.transport.ssh.client import Logins
from deployer.transport.ssh.route import Hop
from deployer.transport.ssh.watch import Watch

if TYPE_CHECKING:
    import fabric


class _Jump:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.connection: fabric.Connection | None = None
        self.watch: Watch | None = None
        self.release_own: Callable[[], None] = lambda: None


class Lease:
    """The use of a jump's connection (None: straight). It is given back at the end of `using`, or by `release` once kept."""

    def __init__(self, connection: "fabric.Connection | None", release: Callable[[], None]) -> None:
        self.connection = connection
        self.kept = False
        self._release = release
        self._once = threading.Lock()
        self._done = False

    def keep(self) -> None:
        self.kept = True

    def release(self) -> None:
        with self._once:
            if self._done:
                return
            self._done = True
        self._release()


class Jumps:
    def __init__(self, logins: Logins, configured: Callable[[Hop], Hop]) -> None:
        self._logins = logins
        self._configured = configured
        self._guard = threading.Lock()
        self._open: dict[tuple[object, ...], _Jump] = {}

    @contextmanager
    def using(self, hop: Hop | None, *, deadline: float) -> Iterator[Lease]:
        """A login on the jump host for the time of the block, or until `release` when the lease was kept."""
        lease = self._lease(hop, deadline) if hop else Lease(None, lambda: None)
        try:
            yield lease
        finally:
            if not lease.kept:
                lease.release()

    def _lease(self, hop: Hop, deadline: float) -> Lease:
        hop = self._configured(hop)
        key = (hop.address, hop.user, hop.port, hop.identity, hop.pinned, hop.jump)
        with self._guard:
            jump = self._open.setdefault(key, _Jump())
            jump.users += 1
        try:
            with jump.lock:
                if jump.connection is None or not jump.connection.is_connected:
                    self._log_in(jump, hop, deadline)
        except BaseException:
            self._leave(key, jump)
            raise
        return Lease(jump.connection, lambda: self._leave(key, jump))

    def _log_in(self, jump: _Jump, hop: Hop, deadline: float) -> None:
        try:
            with self.using(hop.jump, deadline=deadline) as before:
                jump.connection = self._logins.open(hop, before.connection, deadline=deadline)
                before.keep()
        except HostKeyError as e:
            raise HostKeyError(f"on the way, {e.what}", where=e.where, hint=e.hint) from e
        except Unreachable as e:
            raise Unreachable(f"on the way, {e.what}", where=e.where, hint=e.hint, kind=e.kind) from e
        jump.release_own = before.release
        jump.watch = Watch(jump.connection.transport)

    def _leave(self, key: tuple[object, ...], jump: _Jump) -> None:
        with self._guard:
            jump.users -= 1
            if jump.users:
                return
            if self._open.get(key) is jump:
                del self._open[key]
        if jump.connection is not None:
            if jump.watch:
                jump.watch.stop()
            jump.connection.client.close()
            jump.release_own()
