"""The connections of one command: one per host, opened when first needed, shared by probe, apply and logs."""

import threading
from collections.abc import Mapping
from types import TracebackType

from deployer.errors import UsageError
from deployer.spec.models import HostSpec
from deployer.transport.base import Connection, Transport


class Pool:
    """Thread-safe. `connection` raises Unreachable (HostKeyError for a wrong key) with `where` the host's name."""

    def __init__(self, transport: Transport, hosts: Mapping[str, HostSpec], *, connect_timeout_s: float = 10.0) -> None:
        self.hosts = hosts
        self._transport = transport
        self._timeout_s = connect_timeout_s
        self._open: dict[str, Connection] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def connection(self, name: str) -> Connection:
        """The open connection to this host, or a new one."""
        host = self.hosts.get(name)
        if host is None:
            raise UsageError(f"there is no host {name} in this fleet", hint="deployer hosts list")
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            found = self._open.get(name)
            if found is None:
                found = self._transport.connect(host, timeout_s=self._timeout_s)
                self._open[name] = found
            return found

    def drop(self, name: str, connection: Connection | None = None) -> None:
        """Close and forget: it broke. With `connection`, only when that one is still the current one."""
        with self._guard:  # of two that meet the same break, the second would forget what the first has opened since
            found = self._open.get(name)
            if found is None or (connection is not None and found is not connection):
                return
            del self._open[name]
        found.close()

    def close(self) -> None:
        for name in list(self._open):
            self.drop(name)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
