"""The seam between us and hosts. One method to connect, one to run a verb of the agent; everything above is the same
for SSH, for this machine, and for the fake that tests, docs and the terminal UI use.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from deployer.spec.models import HostSpec


class Channel(Protocol):
    """One running verb. `lines` yields its JSON lines; errors of the agent arrive as DeployerError."""

    def lines(self) -> Iterator[dict[str, Any]]: ...

    def read_bytes(self, most: int) -> bytes:
        """Raw bytes that follow the last line, at least one. Raises like `lines`, also when there will be none."""

    def send(self, line: Mapping[str, Any]) -> None:
        """One JSON line to the verb's standard input."""

    def send_bytes(self, data: bytes) -> None: ...

    def done_sending(self) -> None: ...

    def close(self) -> None: ...


class Connection(Protocol):
    """An open way to one host. Channels of one connection may run at the same time, from different threads."""

    name: str

    def open(self, verb: str, request: Mapping[str, Any]) -> Channel: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Raises Unreachable (HostKeyError for a wrong key) with `where` the host's name."""

    def connect(self, host: HostSpec, *, timeout_s: float) -> Connection: ...
