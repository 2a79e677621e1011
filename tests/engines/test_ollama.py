"""Ollama: its environment, the model that is made in it, what it would override. `ollama serve` is played by a stand-in that
answers its API as its documentation says: the program cannot be had here.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from deployer.engines import ENGINES, programs
from deployer.engines.ollama_front import SOURCE
from deployer.spec.models import Batch, EndpointSpec, ModelSpec, Placement, Sampling
from tests.engines.builders import CPU_SLOT, GPU, GPU_SLOT, deployment, messages, model

ENGINE = ENGINES["ollama"]
GGUF = model("tiny-q8.gguf")
STANDIN = Path(__file__).parent / "ollama_standin.py"


def config(engine_settings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    read = json.loads(ENGINE.process(deployment("ollama", engine_settings, **fields), GGUF, CPU_SLOT).files[0].content)
    assert isinstance(read, dict)
    return read


def test_its_environment_is_all_said() -> None:
    settings = {"max_model_len": 4096, "keep_alive": 300.0, "kv_cache_type": "q8_0", "flash_attention": True, "max_queue": 8}
    process = ENGINE.process(deployment("ollama", settings, batch=Batch(max_size=2)), GGUF, CPU_SLOT)
    assert process.env == {
        "HOME": "{cache}",
        "OLLAMA_HOST": "127.0.0.1:20000",
        "OLLAMA_MODELS": "{cache}/models-20000",
        "OLLAMA_KEEP_ALIVE": "300s",
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_MAX_QUEUE": "8",
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_CONTEXT_LENGTH": "4096",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_FLASH_ATTENTION": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    assert ENGINE.process(deployment("ollama", {"device": "cuda"}), GGUF, GPU_SLOT).env["CUDA_VISIBLE_DEVICES"] == GPU


def test_the_model_is_made_with_what_the_yaml_says() -> None:
    sampling = Sampling(top_k=-1, min_p=0.1, repetition_penalty=1.1, seed=7, max_tokens=64, stop=("ü\n", "%h"))
    read = config(
        {"max_model_len": 512, "system": "Be brief."}, sampling=sampling, endpoint=EndpointSpec(model_names=("acme/t:1",))
    )
    assert read["create"] == {
        "parameters": {
            "top_k": 0,
            "min_p": 0.1,
            "repeat_penalty": 1.1,
            "seed": 7,
            "num_predict": 64,
            "stop": ["ü\n", "%h"],
            "num_ctx": 512,
        },
        "system": "Be brief.",
    }
    assert (read["names"], read["file"], read["keep_alive"]) == (["chat", "acme/t:1"], "{model}/tiny-q8.gguf", -1)


def test_ready_is_a_name_that_only_this_model_has() -> None:
    one = ENGINE.process(deployment("ollama"), GGUF, CPU_SLOT).ready_path
    assert one == ENGINE.process(deployment("ollama"), GGUF, CPU_SLOT).ready_path
    assert one.startswith("/v1/models/deployer-")
    assert one != ENGINE.process(deployment("ollama", {"system": "x"}), GGUF, CPU_SLOT).ready_path


def test_it_brings_nothing_and_says_what_must_be_there() -> None:
    spec = deployment("ollama", {"program": "/opt/ollama/bin/ollama"})
    assert ENGINE.environments(spec) == ()
    assert programs(spec) == ("/opt/ollama/bin/ollama",)


@pytest.mark.parametrize(
    ("engine_settings", "fields", "message"),
    [
        ({}, {"sampling": Sampling(temperature=0.0)}, "a request that says no temperature gets Ollama's own"),
        ({}, {"sampling": Sampling(top_p=0.9)}, "a request that says no top_p gets Ollama's own"),
        ({"kv_cache_type": "q8_0", "flash_attention": False}, {}, "wants flash attention"),
        ({"partly_on_cpu": True}, {}, "it runs on the CPU altogether"),
        ({"device": "cuda"}, {"placement": Placement(gpus=0)}, "device: cuda wants a GPU"),
        ({}, {"endpoint": EndpointSpec(model_names=("a b",))}, "Ollama cannot name a model 'a b'"),
        ({}, {"model": ModelSpec(host_path="/srv/m")}, "which file of the folder is it?"),
        ({}, {"batch": Batch(max_wait=1.0)}, "never waits"),
        ({"env": {"OLLAMA_HOST": "0.0.0.0"}}, {}, "env may not hold OLLAMA_HOST"),
        ({"template": "{model}"}, {}, "a word of deployer's own"),
    ],
)
def test_what_cannot_be_is_refused(engine_settings: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    assert message in " ".join(messages("ollama", engine_settings, **fields))


def test_a_model_it_cannot_make_is_refused() -> None:
    [parts] = ENGINE.check_model(deployment("ollama"), model("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"))
    assert "several parts" in parts.message
    [none] = ENGINE.check_model(deployment("ollama"), model())
    assert "holds no GGUF file" in none.message


class Started:
    """The program as the unit runs it, over the stand-in."""

    def __init__(self, folder: Path, mode: str = "", **changed: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (folder / "serve.py").write_text(SOURCE)
        (folder / "tiny.gguf").write_bytes(b"GGUF tiny")
        own = config({"max_model_len": 512}, endpoint=EndpointSpec(model_names=("tiny",)))
        own |= {"program": str(STANDIN), "port": port, "file": str(folder / "tiny.gguf"), **changed}
        (folder / "config.json").write_text(json.dumps(own))
        self.config, self.store = own, folder / "cache" / "models-1"
        env = {"OLLAMA_MODELS": str(self.store), "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_STANDIN": mode}
        argv = [sys.executable, "-I", str(folder / "serve.py"), str(folder / "config.json")]
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def until_ready(self) -> str:
        said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said += line
            if line.startswith("ready after"):
                return said
        raise AssertionError(f"it ended: {said}")

    def stopped(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def models(self) -> dict[str, Any]:
        found = json.loads((self.store / "models.json").read_text())
        assert isinstance(found, dict)
        return found

    def asked(self) -> list[str]:
        lines = (self.store / "requests.jsonl").read_text().splitlines()
        return [f"{one['method']} {one['path'].partition('sha256:')[0]}" for one in map(json.loads, lines)]


@contextmanager
def started(folder: Path, mode: str = "", **changed: Any) -> Iterator[Started]:
    found = Started(folder, mode, **changed)
    try:
        yield found
    finally:
        with suppress(ProcessLookupError):
            os.killpg(found.process.pid, signal.SIGKILL)  # the stand-in too
        found.process.wait()
        assert found.process.stdout is not None
        found.process.stdout.close()


def test_a_model_is_brought_made_named_and_loaded_and_said_to_be_ready_last(tmp_path: Path) -> None:
    with started(tmp_path) as one:
        one.until_ready()
        marker = one.config["marker"]
        assert set(one.models()) == {"chat:latest", "tiny:latest", f"{marker}:latest"}
        made = one.models()["chat:latest"]
        assert (made["parameters"], list(made["files"]), made["stream"]) == ({"num_ctx": 512}, ["tiny.gguf"], False)
        steps = [word for word in one.asked() if word != "GET /api/version"]
        assert steps[:4] == ["HEAD /api/blobs/", "POST /api/blobs/", "POST /api/create", "POST /api/copy"]
        assert steps[-3:] == ["POST /api/generate", "GET /api/tags", "POST /api/copy"]
        assert one.stopped() == 0


def test_a_restart_brings_nothing_again_and_forgets_old_names(tmp_path: Path) -> None:
    other = tmp_path / "cache" / "models-9"
    other.mkdir(parents=True)
    with started(tmp_path) as first:
        first.until_ready()
        first.stopped()
    assert not other.exists(), "a store that nobody holds goes"
    (first.store / "requests.jsonl").unlink()
    with started(tmp_path, names=["chat", "other"], marker="deployer-2") as second:
        second.until_ready()
        assert "POST /api/blobs/" not in second.asked()
        assert set(second.models()) == {"chat:latest", "other:latest", "deployer-2:latest"}


@pytest.mark.parametrize(
    ("mode", "changed", "said"),
    [
        ("refuse-create", {}, "ollama: making the model failed: invalid file magic"),
        ("half-on-gpu", {"whole": True}, "ollama: the model does not fit on the GPU: 2.0 of 4.0 GiB are there"),
        ("die", {}, "bind: address already in use"),
        ("", {"file": "/srv/gone.gguf"}, "No such file or directory: '/srv/gone.gguf'"),
        ("", {"program": "/usr/local/bin/no-ollama"}, "No such file or directory: '/usr/local/bin/no-ollama'"),
    ],
)
def test_what_goes_wrong_is_said_and_ends_the_unit(tmp_path: Path, mode: str, changed: dict[str, Any], said: str) -> None:
    with started(tmp_path, mode, **changed) as one:
        output, _ = one.process.communicate(timeout=20)
        assert said in output
        assert one.process.returncode == 1


def test_half_on_the_cpu_is_allowed_when_it_is_asked_for(tmp_path: Path) -> None:
    with started(tmp_path, "half-on-gpu", whole=False) as one:
        one.until_ready()
