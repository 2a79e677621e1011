"""Brings a model from the host that has it to one whose run asks for it. Through here, in small pieces: hosts need not reach
each other. What was brought before a break is not brought again. Called by follow, for apply and attach alike.
"""

import io
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar, cast

from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.execute.events import Event
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.push import Push
from deployer.transport.base import Channel, Connection

T = TypeVar("T")
#: So many hosts are given to by one host at the same time: sshd allows ten sessions on a connection.
AT_ONCE = 4


class Copy:
    """One model for one host. `wants` is what its run said: {"host", "path", "name", "digest"}. `why(host, transaction)` tells
    what went wrong there. `turn` is the giver's.
    """

    def __init__(
        self,
        pool: Pool,
        host: str,
        fleet: Mapping[str, str],
        run: str,
        wants: Mapping[str, Any],
        patience: Patience,
        post: Callable[[Event], None],
        why: Callable[[str, str], str | None],
        turn: threading.Semaphore,
    ) -> None:
        self._turn = turn
        self._pool = pool
        self._host = host
        self._fleet = dict(fleet)
        self._run = run
        self._wants = wants
        self._patience = patience
        self._post = post
        self._why = why

    def run(self) -> None:
        """What keeps it from being done is told to the run, which then fails at that step and goes on with what does not need it.
        Raises DeployerError when that cannot be told.
        """
        try:
            with self._turn:
                gift = Gift(self._pool, self._fleet, self._wants, self._patience)
                files = self._files(gift)
                blobs = [{"sha256": _sha256(f), "size": f["size"], "origin": f["path"]} for f in files]
                word = {"run": self._run, "copy": {"digest": self._wants["digest"], "files": files}}
                Push(self._pool, self._host, self._fleet, blobs, gift, self._tell, self._patience, word).run()
        except DeployerError as error:
            if isinstance(error, Unreachable) and error.where == self._host:
                raise
            refusal = {
                "digest": self._wants["digest"],
                "error": error.what,
                "hint": error.hint,
                "here": error.where == self._host,
            }
            word = {"run": self._run, "copy": refusal}
            Push(self._pool, self._host, self._fleet, [], _NOTHING, self._tell, self._patience, word).run()

    def _files(self, gift: "Gift") -> list[dict[str, Any]]:
        try:
            return gift.files()
        except Unreachable:
            raise
        except DeployerError as error:
            said = self._why(str(self._wants["host"]), f"model:{self._wants['name']}")
            if said:
                raise DeployerError(f"it failed there: {said}", where=error.where, hint=error.hint) from error
            raise

    def _tell(self, data: Mapping[str, Any]) -> None:
        label = f"copying from {self._wants['host']}"
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._post(Event("transfer", at, self._host, label=label, state="progress", data=data))


def _sha256(file: Mapping[str, Any]) -> str:
    return str(file["digest"]).rpartition(":")[2]


class Gift:
    """A model on a host as a BlobSource. A break on the way there is waited out as everywhere."""

    def __init__(self, pool: Pool, fleet: Mapping[str, str], wants: Mapping[str, Any], patience: Patience) -> None:
        self.host = str(wants["host"])
        self._pool = pool
        self._patience = patience
        self._asked = {"fleet": dict(fleet), "path": wants["path"], "digest": wants["digest"]}

    def files(self) -> list[dict[str, Any]]:
        """Its files with sizes and digests, as they were noted when it was made."""

        def ask(connection: Connection) -> list[dict[str, Any]]:
            channel = connection.open("give", self._asked)
            try:
                for line in channel.lines():
                    if line.get("type") == "gives":
                        return list(line["files"])
                raise Unreachable("the connection ended before it was said what there is", where=self.host)
            finally:
                channel.close()

        return self.patiently(ask)

    def check(self, blob: Mapping[str, Any]) -> None:
        """The host that has them says what is there when it is asked."""

    def open(self, blob: Mapping[str, Any]) -> BinaryIO:
        return cast("BinaryIO", _Stream(self, str(blob["origin"])))

    def begin(self, connection: Connection, name: str, offset: int) -> Channel:
        """A channel from which the bytes of a file can be read, from there on."""
        channel = connection.open("give", {**self._asked, "file": name, "offset": offset})
        try:
            for line in channel.lines():
                if line.get("type") == "giving":
                    return channel
            raise Unreachable("the connection ended before a byte came", where=self.host)
        except BaseException:
            channel.close()
            raise

    def patiently(self, work: Callable[[Connection], T]) -> T:
        """`work` with a connection to that host, again while the way there is broken. Raises DeployerError."""
        waited, pause = 0.0, self._patience.first_s
        while True:
            connection = None
            try:
                connection = self._pool.connection(self.host)
                return work(connection)
            except HostKeyError:
                raise
            except Unreachable as error:
                if connection is not None:
                    self._pool.drop(self.host, connection)
                if waited >= self._patience.total_s:
                    raise DeployerError(f"it cannot be reached: {error.what}", where=self.host) from error
                self._patience.wait(pause)
                waited += pause
                pause = min(pause * 2, self._patience.most_s)


class _Stream(io.RawIOBase):
    """One file of a gift. Nothing is asked for before the first read; what was read is never kept."""

    def __init__(self, gift: Gift, name: str) -> None:
        self._gift = gift
        self._name = name
        self._offset = 0
        self._channel: Channel | None = None
        self._way: Connection | None = None  # on which the channel is

    def seek(self, offset: int, whence: int = 0) -> int:
        self._offset = offset
        return offset

    def tell(self) -> int:
        return self._offset

    def read(self, size: int = -1) -> bytes:
        data = self._gift.patiently(lambda connection: self._read(connection, size))
        self._offset += len(data)
        return data

    def _read(self, connection: Connection, size: int) -> bytes:
        if connection is not self._way:  # it broke, and somebody else met that first
            self._end()
        try:
            if self._channel is None:
                self._channel, self._way = self._gift.begin(connection, self._name, self._offset), connection
            return self._channel.read_bytes(size)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def close(self) -> None:
        self._end()
        super().close()


class _Nothing:
    """A BlobSource for a word that comes without bytes."""

    def check(self, blob: Mapping[str, Any]) -> None: ...

    def open(self, blob: Mapping[str, Any]) -> BinaryIO:
        raise DeployerError(f"there are no bytes of {blob['origin']}")


_NOTHING = _Nothing()
