"""Bytes that only the controller has, brought to a host over a second channel while its run waits for them. Called by apply."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.transport.base import Channel

CHUNK = 256 * 1024
#: How often progress is said, in seconds.
PROGRESS_S = 0.2
#: So many hosts are fed at the same time. Not few: a run that gets no byte for two minutes gives up.
AT_ONCE = threading.BoundedSemaphore(32)


class BlobSource(Protocol):
    """Where the controller finds bytes. A blob is as `plan.steps.blobs_needed` says: {"sha256", "size", "origin"}."""

    def check(self, blob: Mapping[str, Any]) -> None:
        """Raises DeployerError when the bytes are not here, or are not as many as the lock says."""

    def open(self, blob: Mapping[str, Any]) -> BinaryIO: ...


class Push:
    """Brings `blobs` ({"sha256", "size", "origin"}) to a host; resumes where the host says. `tell(data)` gets the progress.
    `about`: what else the host is told with them, see `put` in agent/wire.py.
    """

    def __init__(
        self,
        pool: Pool,
        host: str,
        fleet: Mapping[str, str],
        blobs: Sequence[Mapping[str, Any]],
        source: BlobSource,
        tell: Callable[[dict[str, Any]], None],
        patience: Patience,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._pool = pool
        self._host = host
        self._fleet = fleet
        self._blobs = {str(blob["sha256"]): blob for blob in blobs}
        self._source = source
        self._tell = tell
        self._patience = patience
        self._about = dict(about or {})
        self._total = 0  # bytes of the blobs the host wants
        self._done = 0
        self._sent = 0  # bytes that we sent: what the host had already is not speed
        self._began = 0.0
        self._told = 0.0

    def run(self) -> None:
        """Raises DeployerError when it cannot be done; Unreachable when the host stays away."""
        with AT_ONCE:
            waited, pause = 0.0, self._patience.first_s
            while True:
                try:
                    self._once()
                except HostKeyError:
                    raise
                except Unreachable:
                    if waited >= self._patience.total_s:
                        raise
                    self._patience.wait(pause)
                    waited += pause
                    pause = min(pause * 2, self._patience.most_s)
                else:
                    return

    def _once(self) -> None:
        connection = self._pool.connection(self._host)
        wanted = [{"sha256": blob["sha256"], "size": blob["size"]} for blob in self._blobs.values()]
        self._total, self._done, self._sent, self._began = 0, 0, 0, time.monotonic()
        try:
            channel = connection.open("put", {"fleet": dict(self._fleet), "blobs": wanted, **self._about})
            try:
                ended = False
                for line in channel.lines():
                    if line.get("type") == "want":
                        self._send(channel, str(line["sha256"]), int(line.get("offset", 0)))
                    ended = line.get("type") == "end"
            finally:
                channel.close()
            if not ended:  # somebody closed the connection under us; a word without bytes may be lost too
                raise Unreachable("the connection ended before all was brought", where=self._host)
        except Unreachable:
            self._pool.drop(self._host, connection)
            raise

    def _send(self, channel: Channel, sha256: str, offset: int) -> None:
        blob = self._blobs.get(sha256)
        if blob is None:
            raise DeployerError(f"the host asks for bytes that were not offered: {sha256[:12]}", where=self._host)
        size = int(blob["size"])
        self._total += size
        self._done += offset
        left = size - offset
        with self._source.open(blob) as stream:
            stream.seek(offset)
            while left:
                data = stream.read(min(CHUNK, left))
                if not data:
                    raise DeployerError(f"{blob['origin']} became shorter while it was read", where=self._host)
                channel.send_bytes(data)
                left -= len(data)
                self._done += len(data)
                self._sent += len(data)
                self._progress(final=not left)

    def _progress(self, *, final: bool) -> None:
        now = time.monotonic()
        if not final and now - self._told < PROGRESS_S:
            return
        self._told = now
        rate = self._sent / max(now - self._began, 0.001)
        left = self._total - self._done
        self._tell(
            {"done": self._done, "total": self._total, "unit": "bytes", "rate": rate, "eta_s": left / rate if rate else None}
        )
