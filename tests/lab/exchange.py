"""One HTTP/1.1 connection of a client that hides nothing: no retries, no pool, every way an answer can end short has a name.

Used by `tests/lab/load.py`. Written over asyncio's streams because what is measured is the server: a client library would take
most of the processor, and would ask again by itself where we want to know that it had to.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


class Cut(Exception):
    """The exchange ended before the answer did. The text says when."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and the path that everything begins with."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, *, ca: str | None = None) -> "Target":
        """`ca`: a file of certificates to trust; '' trusts whatever comes."""
        parts = urlsplit(url)
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context(cafile=ca or None)
            if ca == "":
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), parts.path.rstrip("/"), tls)


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    headers: Mapping[str, str]


class Connection:
    """Opened once, used for one exchange after the other while `reusable`."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target, self._reader, self._writer = target, reader, writer
        self._reusable = True
        self.exchanges = 0

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        try:
            reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else type(error).__name__
            raise Cut(f"no connection: {why}") from error
        return cls(target, reader, writer)

    @property
    def reusable(self) -> bool:
        """False once the answer said so, was not read to its end, or the other side is seen to have closed."""
        return self._reusable and not self._reader.at_eof() and not self._writer.transport.is_closing()

    def close(self) -> None:
        self._reusable = False
        self._writer.transport.abort()

    async def ask(self, path: str, body: bytes, headers: Mapping[str, str], *, keep: bool) -> tuple[Head, AsyncIterator[bytes]]:
        """Sends a POST; the head of the answer, and its body piece by piece. Raises Cut, there or while the body is read."""
        lines = [f"POST {self._target.path}{path} HTTP/1.1", f"Host: {self._target.host}:{self._target.port}"]
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [] if keep else ["Connection: close"]
        self._reusable = False  # until the answer has been read to its end
        self.exchanges += 1
        which = "a connection used before" if self.exchanges > 1 else "a new connection"
        try:
            self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await self._writer.drain()
            head = await self._head()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Cut(f"closed before the answer, on {which}") from error
        return head, self._body(head, keep)

    async def _head(self) -> Head:
        while True:
            raw = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *rest = raw.rstrip("\r\n").split("\r\n")
            status = int(first.split(" ", 2)[1])
            if status >= 200:  # what comes before the answer itself (100 Continue) is not it
                pairs = (line.split(":", 1) for line in rest)
                return Head(status, {name.strip().lower(): value.strip() for name, value in pairs})

    async def _body(self, head: Head, keep: bool) -> AsyncIterator[bytes]:
        length = head.headers.get("content-length")
        chunked = head.headers.get("transfer-encoding", "").lower() == "chunked"
        try:
            if chunked:
                async for piece in self._chunks():
                    yield piece
            elif length is not None:
                yield await self._reader.readexactly(int(length))
            else:
                yield await self._reader.read(-1)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise Cut("the answer was cut") from error
        framed = chunked or length is not None
        self._reusable = keep and framed and head.headers.get("connection", "").lower() != "close"

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readuntil(b"\r\n")
