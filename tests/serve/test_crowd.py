"""A thousand clients in the same instant, and clients that read slowly, against the real process on loopback."""

import asyncio
import json
import os
import re
import resource
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.serve.conftest import Process, Start
from tests.serve.test_process import _health, _post

pytestmark = pytest.mark.timeout(180)

CROWD, QUEUE = 1000, 256
SLOW, TOKENS = 3, 80
NAME = "m" * 3000  # is in every piece of a stream: few tokens make many bytes


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Process]:
    """Both ends of a thousand connections want files; the unit has 65536 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4 * CROWD), hard), hard))
    found = start(model_names=[NAME], max_batch_size=8, max_queue=QUEUE, log_requests=False)
    assert _health(found.url) == 200
    yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def request(**fields: object) -> bytes:
    body = json.dumps({"prompt": "Once", "temperature": 0, "ignore_eos": True, **fields}).encode()
    return b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def port(server: Process) -> int:
    return int(server.url.rsplit(":", 1)[1])


def files(server: Process) -> int:
    return len(os.listdir(f"/proc/{server.child.pid}/fd"))


def test_a_thousand_at_once_are_each_answered_or_told_to_come_again(server: Process) -> None:
    async def ask(go: asyncio.Event, opened: asyncio.Semaphore) -> tuple[int, bool]:
        async with opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", port(server))
        await go.wait()
        writer.write(request(max_tokens=8))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        answer = json.loads(await reader.readexactly(int(length[1])))
        writer.close()
        return int(head.split()[1]), ("choices" if b"retry-after" not in head else "error") in answer

    async def crowd() -> list[tuple[int, bool]]:
        go, opened = asyncio.Event(), asyncio.Semaphore(100)
        asked = [asyncio.ensure_future(ask(go, opened)) for _ in range(CROWD)]
        while files(server) < CROWD:  # they have been let in
            await asyncio.sleep(0.1)
        go.set()
        return await asyncio.gather(*asked)

    before = files(server)
    found = asyncio.run(crowd())
    assert all(whole for _, whole in found)
    statuses = Counter(status for status, _ in found)
    assert set(statuses) <= {200, 429}
    assert statuses[200] >= QUEUE, "as many as can wait are all answered"
    until(lambda: files(server) <= before, "every connection is closed on the server's side too")


def until(reached: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def running(server: Process) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        figures = answer.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in figures.splitlines() if line.startswith("vllm:num_requests_"))


def test_who_reads_slowly_holds_up_nobody_and_loses_nothing(server: Process) -> None:
    """Segments and buffers of the client are so small that the kernel takes little of an answer for it."""
    slow = []
    for _ in range(SLOW):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        client.settimeout(30)
        client.connect(("127.0.0.1", port(server)))
        client.sendall(request(max_tokens=TOKENS, stream=True))
        slow.append(client)
    heads = [client.recv(16) for client in slow]
    assert {head[:12] for head in heads} == {b"HTTP/1.1 200"}
    with _post(server.url, {"prompt": "Once", "max_tokens": 3}) as response:
        assert response.status == 200
        response.read()
    until(lambda: running(server) == 0, "the engine is done with them, whether they read or not")
    for client, head in zip(slow, heads, strict=True):
        text = bytearray(head)
        while not text.endswith(b"0\r\n\r\n"):
            piece = client.recv(65536)
            assert piece, f"cut after {len(text)} bytes"
            text += piece
        client.close()
        assert len(text) > 64 * len(NAME)
        assert b'"finish_reason":"length"' in text.replace(b" ", b"")
        assert b"data: [DONE]" in text
