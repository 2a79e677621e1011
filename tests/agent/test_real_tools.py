"""Steps with the programs they are about: uv builds an environment, huggingface_hub downloads from a local hub."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import uv

from deployer.agent import put, wire
from deployer.agent.context import Context, Shared, StepFailed
from deployer.agent.steps import STEPS
from deployer.agent.system import System, TooLong
from tests.agent.support import ENV, MODEL, run_request, sha256
from tests.hub import LocalHub


class RealSystem(System):
    """Real programs and files, below a temporary root."""

    def sync(self) -> None:
        """A test need not wait for the disk."""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealSystem:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    found = RealSystem(str(tmp_path / "root"))
    Path(found.path("/usr/bin")).mkdir(parents=True)
    os.symlink(os.path.realpath(sys.executable), found.path("/usr/bin/python3.11"))
    Path(found.path("/opt")).mkdir()
    os.symlink(uv.find_uv_bin(), found.path("/opt/uv"))
    return found


def do(system: System, kind: str, secrets: dict[str, str] | None = None, **args: Any) -> list[dict[str, Any]]:
    """Runs one step; returns what it told of its progress."""
    told: list[dict[str, Any]] = []
    shared = Shared(system, run_request(), secrets or {})
    step = {"id": "t.0", "stage": "artifacts", "kind": kind, "label": kind, "args": args, "timeout_s": 120.0}
    ctx = Context(shared, {"id": "t", "deployment": None, "steps": [step]}, step, told.append)
    before = STEPS[kind].check(ctx)
    if not before.get("already"):
        try:
            STEPS[kind].do(ctx, before)
        except Exception:
            ctx.undoing = True
            STEPS[kind].undo(ctx, before)
            raise
    return told


def wheel(name: str = "tinything", version: str = "1.0") -> bytes:
    """A wheel with one module."""
    import io

    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": b"answer = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(path, data)
    return out.getvalue()


def blob(system: System, data: bytes) -> str:
    path = Path(system.path(put.path_of(sha256(data))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return sha256(data)


def environment(data: bytes, pinned: str, **more: Any) -> dict[str, Any]:
    args = {
        "path": ENV,
        "name": "tiny",
        "digest": "d",
        "uv": "/opt/uv",
        "python": "3.11",
        "index_url": "http://127.0.0.1:9/simple",
    }
    wheels = [{"name": "tinything-1.0-py3-none-any.whl", "sha256": sha256(data), "size": len(data)}]
    return {**args, "requirements": f"tinything==1.0 --hash=sha256:{pinned}\n", "extra_index_urls": [], "wheels": wheels, **more}


def test_uv_builds_an_environment_from_a_pushed_wheel(system: RealSystem) -> None:
    data = wheel()
    do(system, "env.build", **environment(data, blob(system, data)))
    python = system.path(f"{ENV}/bin/python")
    assert subprocess.check_output([python, "-c", "import tinything; print(tinything.answer)"], text=True) == "42\n"
    marker = json.loads(Path(system.path(f"{ENV}/{wire.MARKER}")).read_text())
    assert marker["kind"] == "environment"
    assert marker["bytes"] > 0
    assert not Path(system.path(f"{ENV}/.wheels")).exists()
    assert list(Path(system.path(ENV)).rglob("__pycache__/tinything*.pyc"))


def test_a_wheel_that_is_not_the_locked_one_is_refused_and_nothing_stays(system: RealSystem) -> None:
    data = wheel()
    blob(system, data)
    with pytest.raises(StepFailed) as failed:
        do(system, "env.build", **environment(data, "0" * 64))
    assert failed.value.log
    assert not Path(system.path(ENV)).exists()


def test_an_index_that_is_not_there_is_a_cause(system: RealSystem) -> None:
    with pytest.raises(StepFailed) as failed:
        do(system, "env.build", **environment(b"", "0" * 64, wheels=[]))
    assert failed.value.cause == "the host cannot reach the package index"
    assert failed.value.hint is not None


@pytest.fixture
def hub(tmp_path: Path) -> Any:
    (tmp_path / "hub").mkdir()
    with LocalHub(tmp_path / "hub") as local:
        yield local


def repository(tmp_path: Path, hub: LocalHub) -> list[dict[str, Any]]:
    folder = tmp_path / "hub/org/tiny/main"
    folder.mkdir(parents=True)
    contents = {"config.json": b'{"a": 1}', "model.safetensors": os.urandom(300_000), "README.md": b"not locked"}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    small, big = contents["config.json"], contents["model.safetensors"]
    git = hashlib.sha1(b"blob %d\0" % len(small) + small).hexdigest()
    return [
        {"path": "config.json", "size": len(small), "digest": f"git-sha1:{git}"},
        {"path": "model.safetensors", "size": len(big), "digest": f"sha256:{sha256(big)}"},
    ]


def hub_environment(system: System) -> None:
    """An environment whose Python is the one of these tests, which has huggingface_hub."""
    Path(system.path(f"{ENV}/bin")).mkdir(parents=True)
    script = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    Path(system.path(f"{ENV}/bin/python")).write_text(script)
    Path(system.path(f"{ENV}/bin/python")).chmod(0o755)


def download(hub: LocalHub, files: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    commit = more.pop("commit", None) or hub_commit(hub)
    args = {"path": MODEL, "name": "m", "digest": "d", "repo": "org/tiny", "commit": commit, "files": files, "env": ENV}
    return {**args, "endpoint": hub.url, "token": None, **more}


def hub_commit(hub: LocalHub) -> str:
    from huggingface_hub import HfApi

    found = HfApi(endpoint=hub.url, token=hub.options.token).model_info("org/tiny").sha
    assert found is not None
    return found


def test_a_model_is_downloaded_checked_and_readable(system: RealSystem, hub: LocalHub, tmp_path: Path) -> None:
    files = repository(tmp_path, hub)
    hub_environment(system)
    do(system, "model.download", **download(hub, files))
    there = sorted(p.name for p in Path(system.path(MODEL)).iterdir())
    assert there == [wire.MARKER, "config.json", "model.safetensors"]
    assert not Path(system.path(MODEL + ".part")).exists()


def test_a_rotten_file_is_found_out(system: RealSystem, hub: LocalHub, tmp_path: Path) -> None:
    files = repository(tmp_path, hub)
    files[1]["digest"] = "sha256:" + "0" * 64
    hub_environment(system)
    with pytest.raises(StepFailed, match=r"model\.safetensors is not what was locked"):
        do(system, "model.download", **download(hub, files))
    assert not Path(system.path(MODEL)).exists()


def test_a_gated_repository_says_what_to_do(system: RealSystem, hub: LocalHub, tmp_path: Path) -> None:
    files = repository(tmp_path, hub)
    commit = hub_commit(hub)
    hub.options.gated.add("org/tiny")
    hub_environment(system)
    with pytest.raises(StepFailed) as failed:
        do(system, "model.download", **download(hub, files, commit=commit))
    assert "gated" in (failed.value.cause or "")
    assert "model.token" in (failed.value.hint or "")
    do(system, "model.download", {"env:T": hub.options.token}, **download(hub, files, commit=commit, token="env:T"))
    assert Path(system.path(f"{MODEL}/config.json")).exists()


def test_a_program_that_runs_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child"
    script = f'sleep 300 & echo $! > "{note}"; echo working; wait'
    with pytest.raises(TooLong) as failed:
        System().run(["/bin/sh", "-c", script], timeout=1.0)
    assert failed.value.log == ["working"]
    pid = int(note.read_text())
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            return
        threading.Event().wait(0.01)
    raise AssertionError("its child lives")


def test_a_programs_end_and_words_are_kept(tmp_path: Path) -> None:
    done = System().run(["/bin/sh", "-c", "cat; echo oops >&2; exit 3"], input=b"given\n", timeout=10)
    assert (done.rc, done.out, done.lines) == (3, b"given\n", ["given", "oops"])


def test_http_on_loopback_is_not_sent_to_a_proxy(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    status, _body = System().http("GET", hub.url + "/none")
    assert status == 404
