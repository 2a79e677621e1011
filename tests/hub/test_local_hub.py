"""The local hub behaves as huggingface_hub expects; the agent's download tests rely on this."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from tests.hub import LocalHub
from tests.hub.fixture import hub

__all__ = ["hub"]

WEIGHTS = bytes(range(256)) * 2000


def snapshot(hub: LocalHub, into: Path) -> Path:
    return Path(snapshot_download("org/tiny", endpoint=hub.url, cache_dir=into, max_workers=1))


@pytest.fixture
def tiny(hub: LocalHub) -> LocalHub:
    hub.add("org/tiny", {"config.json": "{}", "sub/model.safetensors": WEIGHTS})
    return hub


def test_a_snapshot_arrives_whole(tiny: LocalHub, tmp_path: Path) -> None:
    folder = snapshot(tiny, tmp_path / "cache")
    assert folder.name == tiny.commit("org/tiny")
    assert (folder / "sub" / "model.safetensors").read_bytes() == WEIGHTS


def test_a_cut_transfer_is_resumed_by_range(tiny: LocalHub, tmp_path: Path) -> None:
    weights = WEIGHTS * 25  # huggingface_hub writes, and so resumes, in pieces of 10 MiB
    tiny.add("org/tiny", {"sub/model.safetensors": weights})
    tiny.options.cut = 11 << 20
    assert (snapshot(tiny, tmp_path / "cache") / "sub" / "model.safetensors").read_bytes() == weights
    assert [r.range for r in tiny.requests if r.range] == [f"bytes={10 << 20}-"]


def test_corrupt_bytes_arrive_without_a_complaint(tiny: LocalHub, tmp_path: Path) -> None:
    tiny.options.corrupt = {"org/tiny:sub/model.safetensors"}
    received = (snapshot(tiny, tmp_path / "cache") / "sub" / "model.safetensors").read_bytes()
    assert len(received) == len(WEIGHTS)
    assert received != WEIGHTS


def test_a_slow_transfer_is_slow(tiny: LocalHub, tmp_path: Path) -> None:
    tiny.options.slow_bps = 2_000_000
    assert (snapshot(tiny, tmp_path / "cache") / "sub" / "model.safetensors").stat().st_size == len(WEIGHTS)


def test_it_runs_as_a_process_and_ends_on_a_signal(tmp_path: Path) -> None:
    (tmp_path / "org" / "x" / "main").mkdir(parents=True)
    argv = [sys.executable, "-m", "tests.hub", "--root", str(tmp_path), "--port", "0", "--gated", "org/x", "--corrupt", "org/x:f"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{url}/api/models/org/x/tree/main")
        raised.value.close()
        assert raised.value.headers["X-Error-Code"] == "GatedRepo"
        process.terminate()
        assert process.wait(10) == 0
