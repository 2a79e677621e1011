"""The handler's requests to its engine."""

import asyncio

from deployer.handler.config import Upstream
from deployer.handler.engine import Engine

WHOLE_AT_ONCE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n"
)


def test_a_stream_that_has_come_in_one_packet_is_read_to_its_end() -> None:
    over = closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE_AT_ONCE)
        await writer.drain()
        await over.wait()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def ask() -> bytes:
        nonlocal over, closed
        over, closed = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        engine = Engine(Upstream(argv=(), host="127.0.0.1", port=port, ready_path="/health"))
        try:
            found = await engine.ask("GET", "/v1/stream", {}, None)
            assert found.chunks is not None
            return b"".join([chunk async for chunk in found.chunks])
        finally:
            over.set()
            await closed.wait()
            await engine.close()
            server.close()
            await server.wait_closed()

    assert asyncio.run(ask()) == b"data: one\n\ndata: two\n\n"
