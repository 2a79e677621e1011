"""Requests to the engine, and its answers as they come. Nothing is kept back: a chunk goes on when it is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from deployer.handler.answer import Answer, Problem
from deployer.handler.config import Upstream

#: Belongs to one connection, not to the message.
HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)
#: An answer of a known length up to this is sent in one piece.
WHOLE = 256 * 1024
#: Shorter than any engine's own (llama-server: 5 s), so that a request never goes into a connection that is being closed.
IDLE_S = 3.0


class EngineGone(Exception):
    """The engine broke off in the middle of an answer."""


class Engine:
    def __init__(self, upstream: Upstream) -> None:
        self._base = f"http://{upstream.host}:{upstream.port}"
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Answer:
        """`path` as the client wrote it; `body`: bytes, or something to be read chunk by chunk. Raises Problem (503)."""
        url = URL(self._base + path, encoded=True)
        try:
            found = await self._session.request(method, url, headers=headers, data=body, allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            raise Problem(503, "The engine does not answer; it is starting or has ended.", code="engine_unavailable") from error
        except aiohttp.ClientError as error:
            raise Problem(502, f"The engine's answer cannot be read: {type(error).__name__}.", code="engine_error") from error
        given = without_hop(found.headers)
        try:
            if method == "HEAD" or (found.content_length is not None and found.content_length <= WHOLE):
                return Answer(found.status, given, await found.read())
        except aiohttp.ClientError as error:
            raise Problem(502, "The engine broke off in the middle of its answer.", code="engine_error") from error
        # Not released here, also when all of it has come already: what is not read yet could not be read then.
        return Answer(found.status, given, chunks=_chunks(found), close=found.close)


async def _chunks(found: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in found.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, ConnectionError) as error:
        raise EngineGone(str(error)) from error
    finally:
        found.close()


def without_hop(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that go on, in their order; also not what `Connection` names."""
    named = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    items = headers.items()
    return CIMultiDict((name, value) for name, value in items if name.lower() not in HOP and name.lower() not in named)
