"""The programs around a unit's main process, run by `python3 -I` as the unit runs them."""

import ast
import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.render.programs import CLAIM, READY, RELOAD


def program(text: str, *arguments: str, env: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-I", "-c", text, *arguments]
    return subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def main_process() -> Iterator["subprocess.Popen[bytes]"]:
    """Stands for the engine: lives until somebody ends it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


class Health(http.server.BaseHTTPRequestHandler):
    statuses: list[int] = []

    def do_GET(self) -> None:
        self.send_response(self.statuses.pop(0) if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_ready_waits_until_the_engine_says_200(main_process: "subprocess.Popen[bytes]") -> None:
    Health.statuses = [503, 500, 200]
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        process = program(READY, str(server.server_port), "/health", env={"MAINPID": str(main_process.pid)})
        out, err = process.communicate(timeout=20)
        server.shutdown()
        thread.join()
    assert (process.returncode, out, err) == (0, "", "")
    assert Health.statuses == []


def test_ready_gives_up_when_the_engine_is_gone(main_process: "subprocess.Popen[bytes]") -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening, as vLLM's port is while it loads
        process = program(READY, str(unused.getsockname()[1]), "/health", env={"MAINPID": str(main_process.pid)})
        main_process.kill()
        main_process.wait()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "the process ended before it was ready" in err


@pytest.fixture
def systemctl(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """A `systemctl show` that says what the test wants; gives the environment in which it is found."""

    def says(
        unit: str = "a.service", active: str = "activating", sub: str = "start-post", invocation: str = "1"
    ) -> dict[str, str]:
        script = tmp_path / "systemctl"
        script.write_text(
            f'#!/bin/sh\nfor last; do :; done\n[ "$last" = {unit} ] && '
            f"printf 'ActiveState={active}\\nSubState={sub}\\nInvocationID={invocation}\\n'\nexit 0\n"
        )
        script.chmod(0o755)
        return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    return says


def claim(folder: Path, unit: str, invocation: str, *gpus: str, env: dict[str, str]) -> "subprocess.Popen[str]":
    return program(CLAIM, str(folder), unit, *gpus, env={**env, "INVOCATION_ID": invocation})


def test_a_free_gpu_is_claimed_at_once(tmp_path: Path, systemctl: Callable[..., dict[str, str]]) -> None:
    process = claim(tmp_path / "gpus", "a.service", "1", "GPU-1", "GPU-2", env=systemctl())
    assert process.communicate(timeout=20) == ("", "")
    assert [(tmp_path / "gpus" / gpu).read_text() for gpu in ("GPU-1", "GPU-2")] == ["a.service 1", "a.service 1"]


@pytest.mark.parametrize(
    "state",
    [
        {"active": "active", "sub": "running"},
        {"active": "failed", "sub": "failed"},
        {"sub": "auto-restart"},
        {"invocation": "2"},
        {"unit": "other.service"},
    ],
    ids=["it is ready", "it failed", "it waits to start again", "it is another start", "it is gone"],
)
def test_the_claim_of_a_unit_that_is_not_starting_is_stale(
    tmp_path: Path, systemctl: Callable[..., dict[str, str]], state: dict[str, str]
) -> None:
    (tmp_path / "gpus").mkdir()
    (tmp_path / "gpus" / "GPU-1").write_text("a.service 1")
    process = claim(tmp_path / "gpus", "b.service", "9", "GPU-1", env=systemctl(**state))
    assert process.communicate(timeout=20) == ("", "")
    assert (tmp_path / "gpus" / "GPU-1").read_text() == "b.service 9"


def test_a_unit_waits_while_another_starts_on_its_gpu(tmp_path: Path, systemctl: Callable[..., dict[str, str]]) -> None:
    (tmp_path / "gpus").mkdir()
    (tmp_path / "gpus" / "GPU-1").write_text("a.service 1")
    process = claim(tmp_path / "gpus", "b.service", "9", "GPU-2", "GPU-1", env=systemctl())
    assert process.stdout
    assert "another replica is starting" in process.stdout.readline()
    assert not (tmp_path / "gpus" / "GPU-2").exists(), (
        "all GPUs at once or none: two that wait for each other would wait for ever"
    )
    systemctl(active="active", sub="running")
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert (tmp_path / "gpus" / "GPU-1").read_text() == "b.service 9"


def test_a_unit_that_starts_again_is_not_stopped_by_its_own_claim(
    tmp_path: Path, systemctl: Callable[..., dict[str, str]]
) -> None:
    env = systemctl()
    for invocation in ("1", "2"):
        assert claim(tmp_path / "gpus", "a.service", invocation, "GPU-1", env=env).communicate(timeout=20) == ("", "")
    assert (tmp_path / "gpus" / "GPU-1").read_text() == "a.service 2"


@pytest.mark.parametrize("text", [READY, CLAIM, RELOAD])
def test_they_run_on_the_oldest_python_of_a_host(text: str) -> None:
    ast.parse(text, feature_version=(3, 6))
