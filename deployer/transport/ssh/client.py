"""One SSH login: a Fabric connection over a socket of ours, with the host key checked. Used by `ssh.connection`."""

import contextlib
import logging
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import fabric
import paramiko

from deployer.errors import DeployerError, Unreachable
from deployer.transport.ssh import keys, sockets
from deployer.transport.ssh.route import Hop

logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # what goes wrong is said by us, once


class Relay(paramiko.ProxyCommand):  # type: ignore[misc]
    """The user's ProxyCommand; unlike Paramiko's, its end leaves no process and no pipe behind."""

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


class Logins:
    """Makes logins; reads ~/.ssh/config and known_hosts once for all of them. Thread-safe."""

    def __init__(self) -> None:
        # lazy: the user's fabric.yml is not for us
        self._config = fabric.Config(lazy=True)
        self._config.load_ssh_config()
        #: A connection that is made writes to the configuration, which is empty for a moment then.
        self._one_at_a_time = threading.Lock()
        self._known = keys.KnownHosts()

    def settings(self, hop: Hop) -> dict[str, Any]:
        """What ~/.ssh/config says for this address."""
        return dict(self._config.base_ssh_config.lookup(hop.address))

    def open(self, hop: Hop, through: fabric.Connection | None, *, deadline: float) -> fabric.Connection:
        """A login on the hop, over the connection `through` or straight. `deadline`: time.monotonic(). Raises Unreachable."""
        made = self.draft(hop)
        self._trust(hop, made)
        bearer = carrier(hop, made, through, deadline)
        left = max(deadline - time.monotonic(), 0.1)
        made.connect_kwargs |= {"sock": bearer, "timeout": left, "banner_timeout": left, "auth_timeout": left}
        try:
            made.open()
        except Exception as e:
            made.client.close()
            with contextlib.suppress(OSError):
                bearer.close()
            raise _login_failed(e, hop, made) from e
        return made

    def draft(self, hop: Hop) -> fabric.Connection:
        """The connection, not yet opened, with user, port and keys decided."""
        settings = self.settings(hop)
        own_key = hop.identity is not None
        if hop.identity is not None and not hop.identity.is_file():
            raise Unreachable(f"there is no key {hop.identity}", where=hop.where, hint="see `identity_file:`", kind="auth")
        login: dict[str, Any] = {
            "look_for_keys": not own_key,
            "allow_agent": settings.get("identitiesonly", "no") != "yes",
            "channel_timeout": 30.0,
        }
        if hop.identity is not None:
            login["key_filename"] = [str(hop.identity)]
        with self._one_at_a_time:
            made = fabric.Connection(
                hop.address, user=hop.user, port=hop.port, config=self._config, gateway=False, connect_kwargs=login
            )
        if not own_key and "key_filename" in made.connect_kwargs:
            # like ssh itself: a key that the configuration names and that is not there is passed over
            made.connect_kwargs["key_filename"] = [k for k in made.connect_kwargs["key_filename"] if Path(k).is_file()]
        elif own_key:
            made.connect_kwargs["key_filename"] = [str(hop.identity)]
        return made

    def _trust(self, hop: Hop, made: fabric.Connection) -> None:
        """Tells the client which keys are right: the pinned one alone, else those of known_hosts."""
        client = made.client
        client.set_missing_host_key_policy(keys.Strict())
        name = made.host if made.port == 22 else f"[{made.host}]:{made.port}"
        if hop.pinned:
            right = keys.parse(hop.pinned, where=hop.where)
            client.get_host_keys().add(name, right.get_name(), right)
            return
        settings = self.settings(hop)
        names = [str(settings["hostkeyalias"])] if "hostkeyalias" in settings else [name]
        for kind, key in self._known.keys(names, settings).items():
            client.get_host_keys().add(name, kind, key)


def carrier(hop: Hop, made: fabric.Connection, through: fabric.Connection | None, deadline: float) -> Any:
    """What carries the bytes: a socket, a channel of the jump host, or the user's ProxyCommand."""
    left = max(deadline - time.monotonic(), 0.1)
    if through is None:
        command = made.ssh_config.get("proxycommand", "none")
        if command != "none":
            return Relay(command)
        return sockets.connect(made.host, made.port, timeout_s=left, where=hop.where)
    try:
        return through.transport.open_channel("direct-tcpip", (made.host, made.port), ("", 0), timeout=left)
    except (paramiko.SSHException, OSError, EOFError) as e:
        reason = e.text if isinstance(e, paramiko.ChannelException) else str(e) or "no answer"
        raise Unreachable(
            f"the jump host {through.host} cannot reach {made.host} port {made.port}: {reason}", where=hop.where, kind="refused"
        ) from e


def _login_failed(error: Exception, hop: Hop, made: fabric.Connection) -> DeployerError:
    """What Paramiko said, in our words. What is no failure of a login is raised as it is."""
    if isinstance(error, keys.UnknownKey):
        return keys.not_known(error.key, made.host, hop.where)
    if isinstance(error, paramiko.BadHostKeyException):
        return keys.another(keys.shown(error.key), keys.shown(error.expected_key), made.host, hop.where)
    if isinstance(error, paramiko.PasswordRequiredException):
        hint = "ssh-add it, and the agent will open it"
        return Unreachable("its key needs a passphrase", where=hop.where, hint=hint, kind="auth")
    tried = ", ".join(made.connect_kwargs.get("key_filename", [])) or "keys of ~/.ssh"
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
        hint = f"tried: {tried}" + (" and the ssh-agent" if made.connect_kwargs["allow_agent"] else "")
        return Unreachable(f"{made.host} refuses the login of {made.user}", where=hop.where, hint=hint, kind="auth")
    if isinstance(error, TimeoutError | socket.timeout) or "banner" in str(error).lower():
        return Unreachable(f"{made.host} port {made.port} does not answer as SSH", where=hop.where, kind="timeout")
    if isinstance(error, paramiko.SSHException | OSError | EOFError | ValueError):
        what = f"the SSH connection to {made.host} failed: {error or 'it was closed'}"
        return Unreachable(what, where=hop.where, kind="refused")
    raise error
