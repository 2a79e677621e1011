"""`deployer ui --web`: on loopback, for who has the key, and read-only."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def address(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("NO_COLOR")
    words = ["ui", "--web", "-C", str(fleet)]
    serving = subprocess.Popen(
        [sys.executable, "-m", "tests.tui.alone", str(tmp_path / "machines"), *words],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert serving.stderr is not None
    line = serving.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/\?key=\S+", line)
    assert found, line + serving.stderr.read()
    yield found[0]
    serving.terminate()
    serving.wait(10)
    serving.stderr.close()


def test_only_the_printed_address_leads_to_the_read_only_view(address: str) -> None:
    asyncio.run(_visit(address))


async def _visit(address: str) -> None:
    root = address.partition("?")[0]
    port = root.rstrip("/").rpartition(":")[2]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:
        for _ in range(200):
            try:
                async with visitor.get(root) as answer:
                    assert answer.status == 403
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
        async with visitor.get(f"{root}?key=guessed") as answer:
            assert answer.status == 403
        async with visitor.get(address, headers={"Host": f"evil.example:{port}"}) as answer:
            assert answer.status == 403
        async with visitor.get(address) as answer:
            assert answer.status == 200
            assert "key" not in answer.url.query
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await visitor.ws_connect(f"{root}ws", origin="http://evil.example")
        async with visitor.ws_connect(f"{root}ws?width=120&height=40") as socket:
            said = b""
            while b"read-only" not in said:
                message = await socket.receive(timeout=30)
                assert isinstance(message.data, bytes), (message, said[-500:])
                said += message.data
