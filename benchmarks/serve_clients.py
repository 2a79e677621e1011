"""Clients that cost little beside the server they measure: bytes are counted, not parsed. Used by bench_serve and bench_peers."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass(frozen=True)
class Ask:
    """Token ids, and exactly how many tokens to answer with."""

    prompt: list[int]
    tokens: int


@dataclass
class Figures:
    """`firsts`: seconds until the first token of each answer; whole answers have none before their end."""

    tokens: int
    seconds: float
    firsts: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def first(self, share: float) -> float:
        values = sorted(self.firsts)
        return values[min(int(len(values) * share), len(values) - 1)]


class _Closed(EOFError):
    """The connection was ended before the request."""


def ask_all(port: int, asks: Sequence[Ask], clients: int, *, stream: bool) -> Figures:
    """Every request once, by so many clients at a time, each on a connection that it keeps."""
    return asyncio.run(_ask_all(port, asks, clients, stream))


async def _ask_all(port: int, asks: Sequence[Ask], clients: int, stream: bool) -> Figures:
    waiting, firsts = deque(asks), list[float]()
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    began = time.perf_counter()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while waiting:
            ask = waiting.popleft()
            try:
                firsts.append(await _ask(reader, writer, ask, stream))
            except _Closed:  # llama-server ends a connection after a stream; asked again, as any client would
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                firsts.append(await _ask(reader, writer, ask, stream))
        writer.close()

    await asyncio.gather(*(client(*pair) for pair in connections))
    return Figures(sum(ask.tokens for ask in asks), time.perf_counter() - began, firsts)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask, stream: bool) -> float:
    wish = {"model": "bench", "prompt": ask.prompt, "max_tokens": ask.tokens, "temperature": 0, "ignore_eos": True}
    body = json.dumps({**wish, "stream": stream}).encode()
    began = time.perf_counter()
    writer.write(_HEAD % len(body) + body)
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        if getattr(error, "partial", b""):
            raise
        raise _Closed from None
    if not head.startswith(b"http/1.1 200"):
        raise SystemExit(f"refused: {head.decode()}{(await reader.read(2000)).decode()}")
    if stream:
        piece = await reader.readuntil(b"\n\n")
        first = time.perf_counter() - began
        while b"data: [DONE]" not in piece:
            piece = await reader.readuntil(b"\n\n")
        await reader.readuntil(b"0\r\n\r\n")
        return first
    length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    answer = json.loads(await reader.readexactly(length))
    if answer["usage"]["completion_tokens"] != ask.tokens:
        raise SystemExit(f"not what was asked for: {answer['usage']}")
    return time.perf_counter() - began
