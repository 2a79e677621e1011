"""Sockets as SSH needs them."""

import socket

import pytest

from deployer.errors import Unreachable
from deployer.transport.ssh import sockets


def test_small_packets_go_at_once_and_a_dead_link_is_noticed_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = sockets.connect("127.0.0.1", server.getsockname()[1], timeout_s=5, where="h")
        with made:
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == sockets.DEAD_S * 1000 <= 15000


def test_a_port_nobody_listens_on_says_which() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unreachable, match=f"cannot connect to 127.0.0.1 port {port}: Connection refused") as e:
        sockets.connect("127.0.0.1", port, timeout_s=5, where="gpu-1")
    assert (e.value.kind, e.value.where) == ("refused", "gpu-1")
