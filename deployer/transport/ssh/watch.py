"""Notices that a host behind a jump is gone: the kernel sees only the link to the jump. Used by `ssh.connection`.

A thread asks the host's sshd now and then; another look finds that it has been waiting too long and ends the connection.
"""

import socket
import threading
import time
from typing import Any

from deployer.transport.ssh.sockets import DEAD_S

_EVERY_S = 4.0


class Watch:
    """Watches a Paramiko transport until `stop`. Does nothing for one that stands on a socket: TCP does it there."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._stopped = threading.Event()
        self._asked_at: float | None = None
        if not isinstance(transport.sock, socket.socket):
            for work in (self._ask, self._look):
                threading.Thread(target=work, name=f"{work.__name__}-ssh", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _ask(self) -> None:
        while not self._stopped.wait(_EVERY_S) and self._transport.is_active():
            self._asked_at = time.monotonic()
            try:
                self._transport.global_request("keepalive@openssh.com", wait=True)
            except (OSError, EOFError):
                return
            self._asked_at = None

    def _look(self) -> None:
        while not self._stopped.wait(1.0) and self._transport.is_active():
            asked = self._asked_at
            if asked is not None and time.monotonic() - asked > DEAD_S - _EVERY_S:
                self._transport.close()
                return
