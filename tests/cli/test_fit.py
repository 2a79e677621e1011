"""`deployer fit`: over fake hosts with GPUs, models from folders, the lock and a deployment."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from deployer.app.fitting import Survey, Way
from deployer.cli.fit import exit_code
from deployer.state.locked import LockedModel, ModelFacts
from deployer.transport.fake import GIB, FakeHost
from tests.cli.conftest import relock
from tests.cli.fakehosts import Bench, bench
from tests.gguffile import write_gguf

__all__ = ["bench"]

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
}
L4 = [{"uuid": f"GPU-l4-{n}", "index": n, "name": "NVIDIA L4", "memory_total": 24 * GIB} for n in range(2)]


def gib(size: float) -> int:
    return int(size * GIB)


@pytest.fixture(autouse=True)
def whole(bench: Bench) -> None:
    """models/tiny with weights that can be read."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": [32], "data_offsets": [0, 64]}}).encode()
    (bench.root / "models/tiny/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))


@pytest.fixture
def llama(bench: Bench) -> Bench:
    """A folder models/llama as large as Llama 3.1 8B on paper; two 24 GiB GPUs on h1, one of 80 GiB on h2."""
    folder = bench.root / "models/llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (folder / "tokenizer.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "BF16", "shape": [8_030_261_248], "data_offsets": [0, 16_060_522_496]}}).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + 16_060_522_496)  # sparse: no disk is used
    machines = bench.hosts["h1"].root.parent
    bench.hosts["h1"] = FakeHost("g1", machines, gpus=L4)
    bench.hosts["h2"] = FakeHost("g2", machines, gpus=1)
    return bench


def ways(bench: Bench, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(way["host"], way["engine"]): way for way in bench.json("fit", *words)["ways"]}


def test_every_engine_that_reads_it_on_every_host_with_as_few_gpus_as_do(llama: Bench) -> None:
    found = ways(llama, "models/llama", "--context", "131072")
    small, large = found["h1", "vllm"], found["h2", "vllm"]
    assert (small["verdict"], small["gpus"], small["settings"]["tensor_parallel"]) == ("fits", 2, 2)
    assert (large["verdict"], large["gpus"], large["device"]["free"]) == ("fits", 1, 1)
    assert large["terms"]["weights"] == 16_060_522_496 + 131072 * 128 * 2
    assert large["terms"]["cache"] == gib(16)
    assert ("h1", "llamacpp") not in found
    done = llama("fit", "models/llama", "--context", "131072")
    assert done.code == 0
    assert "llamacpp does not serve it: it serves one GGUF file" in done.err
    assert "could serve it: h1, engine: {vllm: {" in done.err


def test_what_fits_nowhere_is_refused_and_the_context_it_names_fits(llama: Bench) -> None:
    words = ("fit", "models/llama", "--engine", "vllm", "--host", "h1", "--tensor-parallel", "1")
    done = llama(*words, "--context", "131072")
    assert done.code == 4
    assert "weights 14.99 + cache 16.00" in done.out
    (way,) = llama.json(*words, "--context", "131072")["ways"]
    assert way["verdict"] == "no"
    longest = way["terms"]["largest_context"]
    assert f"max_model_len {longest}" in way["would_fit"]
    assert way["terms"]["smallest_tensor_parallel"] == 2
    assert f"a GPU of {way['terms']['smallest_gpu'] // GIB} GiB" in way["would_fit"]
    assert llama(*words, "--context", str(longest)).code == 0


def test_a_deployments_settings_count_until_something_else_is_said(llama: Bench) -> None:
    llama.edit("model: {path: models/tiny}", "model: {path: models/llama}")
    llama.edit("ctranslate2: {}", "vllm: {max_model_len: 4096, kv_cache_dtype: fp8}")
    found = ways(llama, "chat")
    assert set(found) == {("h1", "vllm"), ("h2", "vllm")}
    assert found["h2", "vllm"]["terms"]["context"] == 4096
    assert found["h2", "vllm"]["terms"]["token"] == 65536
    assert ways(llama, "chat", "--context", "8192")["h2", "vllm"]["terms"]["context"] == 8192


def test_a_gguf_file_is_for_the_engines_that_read_one(bench: Bench, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    found = bench.json("fit", str(file))
    assert {way["engine"] for way in found["ways"]} == {"llamacpp", "ollama"}
    assert found["model"]["model_type"] == "llama"


def test_hosts_that_do_not_answer_are_said_and_when_none_does_the_code_is_6(llama: Bench) -> None:
    llama.hosts["h1"].unreachable = "timeout"
    found = llama.json("fit", "models/llama")
    assert set(found["unreachable"]) == {"h1"}
    assert found["serves"] is True
    words = ("fit", "models/llama", "--engine", "vllm", "--context", "1310720")
    assert llama(*words).code == 4, "its context is shorter: no host can, also not the silent one"
    assert llama.json(*words)["serves"] is False
    llama.hosts["h2"].unreachable = "timeout"
    assert llama("fit", "models/llama").code == 6
    assert llama.json("fit", "models/llama")["serves"] is None, "nobody said no"


def test_where_those_that_answered_cannot_a_silent_one_still_may() -> None:
    way = Way("h1", "vllm", "no", 1, "NVIDIA L4", 24 * GIB, 1, 1, {}, "it lacks 3 GiB")
    model = LockedModel("path:m", "path", "m", None, None, "d", (), ModelFacts())

    def said(*ways: Way, silent: Mapping[str, str] = MappingProxyType({})) -> tuple[int, bool | None]:
        found = Survey(model, ways, {}, silent, ("vllm",))
        return exit_code(found), found.serves

    late = {"h2": "timed out"}
    assert said(way) == (4, False)
    assert said(way, silent=late) == (6, None)
    assert said(replace(way, verdict="fits"), silent=late) == (0, True)
    unknown = replace(way, verdict="unknown")
    assert said(way, unknown, silent=late) == (1, None)
    assert said(way, unknown) == (1, None)
    assert said(replace(way, verdict="tight"), unknown) == (0, True)


def test_what_cannot_be_computed_is_no_clear_no(bench: Bench) -> None:
    (bench.root / "models/tiny/config.json").write_text('{"architectures": ["Zebra"], "model_type": "zebra"}')
    done = bench("fit", "models/tiny", "--engine", "vllm")
    assert done.code == 1
    assert "not known: whether it is served, only a start tells" in done.err
    assert "memory not computed: " in done.out
    found = bench.json("fit", "models/tiny", "--engine", "vllm")
    assert found["serves"] is None
    assert {way["verdict"] for way in found["ways"]} == {"unknown"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("fit", "chta"), 64, "did you mean chat?"),
        (("fit", "nothing-like-it"), 64, "ORG/NAME"),
        (("fit", "hosts/h1.yaml"), 64, "no GGUF file"),
        (("fit", "models"), 3, "no config.json"),
        (("fit", "models/tiny", "--engine", "wllm"), 64, "there is no engine wllm"),
        (("fit", "models/tiny", "--engine", "ctranslate2", "--quantization", "int3"), 64, "quantization 'int3'"),
        (("fit", "models/tiny", "--engine", "ctranslate2", "--tensor-parallel", "2"), 64, "no tensor_parallel"),
        (("fit", "models/tiny", "--context", "0"), 64, "from 1 on"),
        (("fit", "models/tiny", "--host", "h3"), 64, "no host h3"),
    ],
)
def test_wrong_words(bench: Bench, words: tuple[str, ...], code: int, said: str) -> None:
    done = bench(*words)
    assert done.code == code
    assert said in done.err


def test_a_plan_that_does_not_fit_is_refused_with_4_and_the_context_that_it_names_passes(bench: Bench) -> None:
    folder = bench.root / "models/tiny"
    (folder / "config.json").write_text(json.dumps({**LLAMA, "max_position_embeddings": 262144}))
    bench.hosts["h1"] = FakeHost("g1", bench.hosts["h1"].root.parent, gpus=L4)
    bench.edit("tags: [prod]", "placement: {hosts: [h1], gpus: 1}")
    bench.edit("ctranslate2: {}", "ctranslate2: {max_model_len: 262144}")
    relock(bench.root)
    done = bench("plan")
    assert done.code == 4
    found = re.search(r"would fit: max_model_len (\d+) · or a GPU of 34 GiB", done.out)
    assert found is not None, done.out
    bench.edit("262144", found[1])
    assert bench("plan").code == 0


def test_weights_that_are_not_whole_are_told_by_file_and_never_weighed(bench: Bench) -> None:
    (bench.root / "models/tiny/model.safetensors").write_bytes(bytes(64))
    done = bench("fit", "models/tiny")
    assert done.code == 3
    assert "models/tiny/model.safetensors" in done.err
    assert "its header would be 0 bytes" in done.err
