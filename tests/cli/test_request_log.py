"""`deployer logs NAME --requests`: records as lines for people and for programs, and where there are none."""

import json
import shutil
from pathlib import Path

import pytest

from deployer.cli.main import main
from deployer.transport.fake import FakeHost, FakeTransport

EXAMPLE = Path(__file__).parents[2] / "examples" / "handlers"
RECORD = {
    **{
        "schema": 1,
        "at": "2026-11-20T12:00:01.500Z",
        "deployment": "intents",
        "revision": "1",
        "replica": "intents/0",
        "id": "r-1",
    },
    **{
        "id": "r-1",
        "key": None,
        "model": None,
        "method": "POST",
        "route": "/v1/predict",
        "stream": True,
        "status": 200,
        "latency_ms": 12.4,
    },
    **{"first_ms": 3.2, "prompt_tokens": 3, "completion_tokens": 4, "request_bytes": 5, "response_bytes": 6},
}


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, FakeHost]:
    root, host = tmp_path / "fleet", FakeHost("cpu-01")
    shutil.copytree(EXAMPLE, root)
    (root / "deployments" / "polite.yaml").unlink()
    transport = FakeTransport([host])
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: transport)
    return root, host


def test_records_in_files_are_shown_as_lines_and_as_json(
    fleet: tuple[Path, FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    root, host = fleet
    with (root / "deployments" / "intents.yaml").open("a") as file:
        file.write("logging: {requests: metadata, sink: file}\n")
    assert main(["apply", "--yes", "-C", str(root)]) == 0
    folder = host.path("/var/log/deployer/handlers/intents/0")
    folder.mkdir(parents=True)
    (folder / "requests.jsonl").write_text(json.dumps(RECORD) + '\n{"cut of\n')
    capsys.readouterr()
    assert main(["logs", "intents", "--requests", "-C", str(root)]) == 0
    line = "2026-11-20T12:00:01.500 cpu-01 intents/0  200  /v1/predict  12 ms (first 3)  3+4 tokens  r-1\n"
    assert capsys.readouterr().out == line
    assert main(["logs", "intents", "--requests", "--json", "-C", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == {"host": "cpu-01", "replica": "intents/0", "record": RECORD}


def test_without_a_log_of_requests_it_says_how_to_have_one(
    fleet: tuple[Path, FakeHost], capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = fleet
    assert main(["apply", "--yes", "-C", str(root)]) == 0
    assert main(["logs", "intents", "--requests", "-C", str(root)]) == 64
    assert "logging: {requests: metadata}" in capsys.readouterr().err
