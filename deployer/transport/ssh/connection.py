"""Connections over SSH: one per host, several verbs at the same time. Implements transport.base for `connection: ssh`.

Importing this loads no Fabric: that happens with the first connection, so that `deployer --help` stays quick.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.errors import Unreachable
from deployer.spec.models import HostSpec
from deployer.transport.base import Channel
from deployer.transport.bootstrap import Archive, FirstContact, OurAgent, Passwords
from deployer.transport.ssh.route import Hop, configured_jump, hop_of

if TYPE_CHECKING:
    import fabric

    from deployer.transport.ssh.client import Logins
    from deployer.transport.ssh.keys import HostKey
    from deployer.transport.ssh.shared import Jumps


class SshTransport:
    """Implements transport.base.Transport. `hosts`: all of the fleet, for jumps; `passwords(host)` gives the one for sudo."""

    def __init__(
        self, fleet_root: Path, hosts: Mapping[str, HostSpec], passwords: Passwords, *, archive: Archive | None = None
    ) -> None:
        self._root = fleet_root
        self._hosts = hosts
        self._passwords = passwords
        self._archive = archive or OurAgent()
        self._lock = threading.Lock()
        self._made: tuple[Logins, Jumps] | None = None

    def connect(self, host: HostSpec, *, timeout_s: float) -> "SshConnection":
        """Logs in. Raises Unreachable (kind timeout, refused, auth) or HostKeyError."""
        logins, jumps = self._tools()
        deadline = time.monotonic() + timeout_s
        hop = self._way(host)
        with jumps.using(hop.jump, deadline=deadline) as lease:
            connection = logins.open(hop, lease.connection, deadline=deadline)
            lease.keep()
        try:
            contact = FirstContact(
                host.name, user=connection.user, sudo=host.sudo, passwords=self._passwords, archive=self._archive
            )
            return SshConnection(host.name, connection, contact, lease.release)
        except BaseException:
            connection.close()
            lease.release()
            raise

    def host_key(self, host: HostSpec, *, timeout_s: float) -> "HostKey":
        """The key the host shows now, trusted or not. For `hosts trust`."""
        from deployer.transport.ssh.ask_key import ask

        logins, jumps = self._tools()
        deadline = time.monotonic() + timeout_s
        hop = self._way(host)
        with jumps.using(hop.jump, deadline=deadline) as lease:
            return ask(hop, logins, lease.connection, deadline=deadline)

    def _tools(self) -> "tuple[Logins, Jumps]":
        with self._lock:
            if self._made is None:
                from deployer.transport.ssh.client import Logins
                from deployer.transport.ssh.shared import Jumps

                logins = Logins()
                self._made = (logins, Jumps(logins, self._configured))
            return self._made

    def _way(self, host: HostSpec) -> Hop:
        return self._configured(hop_of(host, self._hosts, self._root))

    def _configured(self, hop: Hop) -> Hop:
        """The hop, with the jump that ~/.ssh/config names when its file names none."""
        if hop.jump is not None:
            return hop
        return replace(hop, jump=configured_jump(hop, self._tools()[0].settings(hop)))


class SshConnection:
    """Implements transport.base.Connection. Channels may be opened from several threads."""

    def __init__(self, name: str, connection: "fabric.Connection", contact: FirstContact, on_close: Any) -> None:
        from deployer.transport.ssh.watch import Watch

        self.name = name
        self._connection = connection
        self._contact = contact
        self._on_close = on_close
        self._watch = Watch(connection.transport)

    def open(self, verb: str, request: Mapping[str, Any]) -> Channel:
        """Starts the verb. Raises Unreachable (kind sudo, agent, timeout)."""
        from deployer.transport.ssh.running import start

        transport = self._connection.transport
        if transport is None or not transport.is_active():
            raise Unreachable("the connection was lost", where=self.name)
        contact = self._contact.again()
        return contact.begin(start(transport, contact.command(verb), where=self.name), request)

    def close(self) -> None:
        """Ends every channel. May be called by any thread, and twice."""
        self._watch.stop()
        self._connection.client.close()
        self._on_close()
