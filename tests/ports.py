"""Ports for the servers of tests, below those that the system gives to clients: one of these could have it before the server."""

import itertools
import os
import socket

_FIRST, _EACH = 21_000, 1_000
_numbers = itertools.count()


def free_port() -> int:
    """Each worker has a thousand of its own, and none comes twice before all were used."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    for number in itertools.islice(_numbers, _EACH):
        port = _FIRST + worker * _EACH + number % _EACH
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
