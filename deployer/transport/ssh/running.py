"""A command on an SSH channel, as transport.verb.Exec. Used by `ssh.connection`."""

import select

import paramiko

from deployer.errors import Unreachable
from deployer.transport.ssh.sockets import DEAD_S
from deployer.transport.verb import News

_CHUNK = 256 * 1024
_BEGIN_S = 20.0


def start(transport: paramiko.Transport, command: str, *, where: str) -> "Running":
    """Runs the command in a channel of its own. Raises Unreachable."""
    try:
        channel = transport.open_session(window_size=4 << 20, timeout=_BEGIN_S)
        # the other side may read slowly, but not never
        channel.settimeout(2 * DEAD_S)
        channel.exec_command(command)
    except paramiko.ChannelException as e:
        hint = "it may allow few sessions on one connection: MaxSessions in its sshd_config"
        raise Unreachable(f"the host opens no session: {e.text}", where=where, hint=hint, kind="agent") from e
    except (paramiko.SSHException, OSError, EOFError) as e:
        raise Unreachable(f"the connection was lost: {e or 'it was closed'}", where=where) from e
    return Running(transport, channel)


class Running:
    def __init__(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        self._transport = transport
        self._channel = channel
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def poll(self, timeout_s: float) -> News:
        channel = self._channel
        if not (channel.recv_ready() or channel.recv_stderr_ready() or self._over()):
            self._poll.poll(timeout_s * 1000)
        out = channel.recv(_CHUNK) if channel.recv_ready() else b""
        err = channel.recv_stderr(_CHUNK) if channel.recv_stderr_ready() else b""
        # "over" must be seen before "nothing there": what came in between is read next time
        ended = self._over() and not (out or err or channel.recv_ready() or channel.recv_stderr_ready())
        return News(out, err, ended)

    def _over(self) -> bool:
        return bool(self._channel.eof_received or self._channel.closed)

    def write(self, data: bytes) -> None:
        self._channel.sendall(data)

    def end_input(self) -> None:
        if not self._channel.closed:
            self._channel.shutdown_write()

    def status(self) -> int | None:
        self._channel.status_event.wait(3.0)
        status = self._channel.exit_status
        return status if status >= 0 else None

    def lost(self) -> bool:
        return not self._transport.is_active()

    def close(self) -> None:
        self._channel.close()
