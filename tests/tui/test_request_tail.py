"""The records of a deployment's requests in the tab of logs, as they come."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.records import read
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.line import text_of
from deployer.tui.recordline import record_line
from tests.cli.conftest import relock
from tests.tui.conftest import see, shown, travel, until
from tests.tui.test_deployment import opened


def record(number: int, **more: Any) -> str:
    said = {
        "schema": 1, "at": f"2026-11-20T12:00:0{number}.250Z", "deployment": "chat", "revision": "1", "replica": "chat/0",
        "id": f"id-{number}", "key": None, "model": "chat", "method": "POST", "route": "/v1/chat/completions", "stream": True,
        "status": 200, "latency_ms": 812.4, "first_ms": 41.2, "prompt_tokens": 31, "completion_tokens": 120,
        "request_bytes": 214, "response_bytes": 2301,
    }  # fmt: skip
    return json.dumps({**said, **more})


def test_a_record_says_what_came_of_a_request_and_what_failed_is_marked() -> None:
    good, gone, bad = (read(record(1, status=status)) for status in (200, 499, 503))
    assert good is not None
    assert gone is not None
    assert bad is not None
    said = text_of(record_line(good)).split()
    assert said == ["12:00:01.250", "200", "/v1/chat/completions", "812", "ms", "(first", "41)", "31+120", "tokens", "id-1"]
    roles = [next(role for text, role in record_line(one) if text == str(one.status)) for one in (good, gone, bad)]
    assert roles == ["bold good", "bold warn", "bold bad"]
    whole = read(record(2, completion_tokens=None, stream=False, request={"messages": "a secret of somebody"}))
    assert whole is not None
    assert "secret" not in text_of(record_line(whole))
    assert "tokens" not in text_of(record_line(whole))


@pytest.mark.parametrize("cut", ["", "[]", "null", record(1)[:-20], '{"at": "x"}'])
def test_a_line_that_was_cut_is_no_record(cut: str) -> None:
    assert read(cut) is None


@pytest.fixture
def logged(loaded: Fleet, hosts: dict[str, FakeHost]) -> Path:
    """Applied; the file that its handler would write to."""
    with (loaded.root / "deployments/chat.yaml").open("a") as file:
        file.write("logging: {requests: metadata, sink: file}\n")
    relock(loaded.root)
    assert loaded.again().plan().apply().exit_code == 0
    folder = hosts["h1"].root / "var/log/deployer/acme/chat/0"
    folder.mkdir(parents=True)
    return folder / "requests.jsonl"


def test_requests_come_as_they_are_written_and_the_log_comes_back(logged: Path, loaded: Fleet) -> None:
    logged.write_text(f"{record(1)}\n{record(2)[:40]}\n")
    app = DeployerApp(Session(loaded.again()), tick_s=0.1, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "l", "v")
        await see(pilot, "requests of all replicas")
        await see(pilot, "200  /v1/chat/completions")
        assert len([one for one in shown(pilot).splitlines() if "12:00:0" in one]) == 1
        with logged.open("a") as file:
            file.write(f"{record(3, status=503)}\n")
        await see(pilot, "503  /v1/chat/completions")
        await pilot.press("slash", *"503", "enter")
        await until(pilot, lambda: "id-1" not in shown(pilot), "the filtered records")
        await pilot.press("escape", "v")
        await until(pilot, lambda: "id-3" not in shown(pilot), "the log")
        assert "requests of" not in shown(pilot)

    travel(app, journey)


def test_one_that_keeps_no_records_says_how_to_begin(loaded: Fleet) -> None:
    assert loaded.plan().apply().exit_code == 0
    app = DeployerApp(Session(loaded), tick_s=0.1, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "l", "v")
        await see(pilot, "chat keeps no records of its requests")
        assert "next: logging: {requests: metadata} in its file" in shown(pilot)

    travel(app, journey)
