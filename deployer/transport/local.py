"""`connection: local`: this machine as a host, with the same agent and the same first contact. Implements transport.base."""

import getpass
import os
import selectors
import subprocess
from collections.abc import Mapping
from typing import Any

from deployer.errors import Unreachable
from deployer.spec.models import HostSpec
from deployer.transport.base import Channel
from deployer.transport.bootstrap import Archive, FirstContact, OurAgent, Passwords
from deployer.transport.verb import News

_CHUNK = 256 * 1024


class LocalTransport:
    """Implements transport.base.Transport. `passwords(host)` gives the one for sudo, where we are not root."""

    def __init__(self, passwords: Passwords, *, archive: Archive | None = None) -> None:
        self._passwords = passwords
        self._archive = archive or OurAgent()

    def connect(self, host: HostSpec, *, timeout_s: float) -> "LocalConnection":
        if not os.path.isdir("/run/systemd/system"):
            hint = "give it an `address:` to reach it over SSH, or run deployer on the machine itself"
            raise Unreachable("this machine does not run systemd", where=host.name, hint=hint, kind="agent")
        user = "root" if os.geteuid() == 0 else getpass.getuser()
        return LocalConnection(
            host.name, FirstContact(host.name, user=user, sudo=host.sudo, passwords=self._passwords, archive=self._archive)
        )


class LocalConnection:
    """Implements transport.base.Connection."""

    def __init__(self, name: str, contact: FirstContact) -> None:
        self.name = name
        self._contact = contact
        self._running: list[LocalRunning] = []

    def open(self, verb: str, request: Mapping[str, Any]) -> Channel:
        contact = self._contact.again()
        running = LocalRunning(contact.argv(verb))
        self._running.append(running)
        return contact.begin(running, request)

    def close(self) -> None:
        for running in self._running:
            running.close()


class LocalRunning:
    """A process of this machine as transport.verb.Exec."""

    def __init__(self, argv: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True)
        self._open = selectors.DefaultSelector()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            self._open.register(stream, selectors.EVENT_READ)

    def poll(self, timeout_s: float) -> News:
        said = {self._process.stdout: b"", self._process.stderr: b""}
        if not self._open.get_map():
            return News(b"", b"", ended=True)
        for key, _ in self._open.select(timeout_s):
            data = os.read(key.fd, _CHUNK)
            said[key.fileobj] = data  # type: ignore[index]
            if not data:
                self._open.unregister(key.fileobj)
        out, err = said[self._process.stdout], said[self._process.stderr]
        return News(out, err, ended=not (self._open.get_map() or out or err))

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def end_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def status(self) -> int | None:
        try:
            status = self._process.wait(3.0)
            return status if status >= 0 else 128 - status
        except subprocess.TimeoutExpired:
            return None

    def lost(self) -> bool:
        return False

    def close(self) -> None:
        """The agent sees the end of its input and goes; what it started under systemd goes on."""
        self.end_input()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        self._open.close()
