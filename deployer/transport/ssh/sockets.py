"""TCP sockets as SSH needs them: no delay for small packets, and a dead link is noticed. Used by `ssh.connection`."""

import socket
import sys

from deployer.errors import Unreachable

#: A link that gives no sign for so long is dead, in seconds.
DEAD_S = 12
_IDLE_S, _EVERY_S, _TIMES = 4, 3, 3


def connect(address: str, port: int, *, timeout_s: float, where: str) -> socket.socket:
    """A socket to the host. Raises Unreachable: kind "timeout" or "refused"."""
    place = f"{address} port {port}"
    try:
        made = socket.create_connection((address, port), timeout=timeout_s)
    except TimeoutError as e:
        raise Unreachable(f"no answer from {place} within {timeout_s:.0f} s", where=where, kind="timeout") from e
    except socket.gaierror as e:
        hint = "see `address:` in the host's file, and the name servers"
        raise Unreachable(f"its address {address} is unknown: {e.strerror}", where=where, hint=hint, kind="refused") from e
    except OSError as e:
        raise Unreachable(f"cannot connect to {place}: {e.strerror or e}", where=where, kind="refused") from e
    tune(made)
    return made


def tune(made: socket.socket) -> None:
    """Without TCP_NODELAY each exec waits some 40 ms for an acknowledgement. The rest makes the kernel end a dead link."""
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    seconds = {"TCP_KEEPIDLE": _IDLE_S, "TCP_KEEPALIVE": _IDLE_S, "TCP_KEEPINTVL": _EVERY_S, "TCP_KEEPCNT": _TIMES}
    for name, value in {**seconds, "TCP_USER_TIMEOUT": DEAD_S * 1000}.items():
        if hasattr(socket, name):  # not every system has each of them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if sys.platform == "darwin":
        made.setsockopt(socket.IPPROTO_TCP, 0x80, DEAD_S)  # TCP_RXT_CONNDROPTIME, which Python does not name
