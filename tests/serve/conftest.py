"""The served model: converted once per session; a real server process over it; an app over an engine that plays a script."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.serve.config import Config
from deployer.serve.model import Model, load_model
from deployer.transport.serve_archive import serve_archive
from tests.serve.conversion import convert

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def references() -> list[dict[str, Any]]:
    return json.loads((ROOT / "tests" / "serve" / "references.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(ROOT / "models" / "tiny-chat", tmp_path_factory.mktemp("models") / "tiny-chat")


@pytest.fixture(scope="session")
def model(model_dir: Path) -> Model:
    return load_model(Config(model_dir=str(model_dir), model_names=("tiny",), port=0, max_model_len=1024))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "serve.pyz"
    path.write_bytes(serve_archive())
    return path


class Process:
    """A running server. `lines` is what it has written so far."""

    def __init__(self, archive: Path, config: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        argv = [sys.executable, "-I", str(archive), "--config", str(config)]
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self.lines.append("")
            self._more.notify_all()

    def line(self, text: str, number: int = 0, deadline_s: float = 30) -> str:
        """The first line with `text`, or a later one by `number`; waits for it."""
        with self._more:
            self._more.wait_for(lambda: len(self._with(text)) > number or self.lines[-1:] == [""], deadline_s)
            found = self._with(text)
        assert len(found) > number, f"no line with {text!r} in {self.lines}"
        return found[number]

    def _with(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    @property
    def url(self) -> str:
        return self.line("serve: ready").rsplit(" ", 1)[1]

    def wait(self) -> int:
        code = self.child.wait(30)
        self._reader.join(30)
        return code

    def end(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


Start = Callable[..., Process]


@pytest.fixture(scope="session")
def start(archive: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server with these settings over the tiny model; all are ended with the session."""
    running: list[Process] = []

    def begin(**settings: Any) -> Process:
        path = tmp_path_factory.mktemp("config") / "config.json"
        base = {"model_dir": str(model_dir), "model_names": ["tiny", "org/Tiny"], "port": 0, "compute_type": "float32"}
        path.write_text(json.dumps({**base, "intra_threads": 1, "max_model_len": 1024, **settings}))
        running.append(Process(archive, path))
        return running[-1]

    yield begin
    for process in running:
        process.end()


@pytest.fixture(scope="session")
def server(start: Start) -> Process:
    return start(max_batch_size=8)
