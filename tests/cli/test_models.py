"""`deployer models`: the list, one entry whole, and what the hosts could serve of it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deployer.transport.fake import GIB, FakeHost
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]

OWN = """\
name: ours-70b
about: trained by us
kind: chat
repo: acme/ours-70b
parameters: 70B
config: {model_type: llama, torch_dtype: bfloat16, num_hidden_layers: 80, num_attention_heads: 64, num_key_value_heads: 8,
  hidden_size: 8192, vocab_size: 128256, intermediate_size: 28672, max_position_embeddings: 8192}
engines: {vllm: {}}
"""
#: Its size is known, its layers are not.
BARE = """\
name: ours-4b
about: trained by us
kind: chat
repo: acme/ours-4b
parameters: 4B
weights: bfloat16
engines: {vllm: {}}
"""


@pytest.fixture
def gpus(bench: Bench) -> Bench:
    machines = bench.hosts["h1"].root.parent
    small = [{"uuid": "GPU-l4", "index": 0, "name": "NVIDIA L4", "memory_total": 24 * GIB}]
    bench.hosts["h1"] = FakeHost("g1", machines, gpus=small)
    (bench.root / "catalog").mkdir()
    (bench.root / "catalog/ours.yaml").write_text(OWN)
    (bench.root / "catalog/bare.yaml").write_text(BARE)
    return bench


def test_the_list_of_a_kind_and_all_of_it_as_json(gpus: Bench) -> None:
    done = gpus("models", "--kind", "reranking")
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].split() == ["NAME", "KIND", "PARAMETERS", "CONTEXT", "LICENCE", "ENGINES"]
    assert {line.split()[1] for line in lines[1:]} == {"reranking"}
    found = {model["name"]: model for model in gpus.json("models")["models"]}
    assert (found["ours-70b"]["own"], found["ours-70b"]["file"]) == (True, "catalog/ours.yaml")
    assert found["qwen3-8b"]["engines"]["vllm"]["args"]["reasoning_parser"] == "qwen3"


def test_what_a_host_could_serve_of_it(gpus: Bench) -> None:
    done = gpus("models", "--fits", "h1", "--kind", "chat")
    assert done.code == 0
    rows = {line.split()[1]: line for line in done.out.splitlines()[1:]}
    assert "qwen3-0.6b" in rows
    assert "1 of 1 NVIDIA L4, 24 GiB" in rows["qwen3-0.6b"]
    assert "ours-70b" not in rows
    assert " do not" in done.err
    assert rows["ours-4b"].startswith("?")
    assert rows["qwen3-4b"].startswith("✓")
    assert "llama-3.3-70b-instruct" not in rows
    ways = {m["name"]: m["ways"] for m in gpus.json("models", "--fits", "h1")["models"]}
    assert ways["ours-70b"][0]["verdict"] == "no"
    assert ways["ours-4b"][0]["verdict"] == "unknown"
    assert rows["llama-3.1-8b-instruct"].startswith("↓")
    assert "24 GiB, max_model_len " in rows["llama-3.1-8b-instruct"]


def test_the_totals_are_all_that_were_asked_about_and_what_is_not_computed_has_a_name_and_a_reason(gpus: Bench) -> None:
    (gpus.root / "catalog/bare.yaml").write_text(BARE.replace("parameters: 4B\n", ""))
    done = gpus("models", "--fits", "h1")
    total, *more = done.err.splitlines()
    numbers = [int(number) for number in re.findall(r"(?<!\S)\d+", total)]
    assert numbers[0] + sum(numbers[2:]) == numbers[1] == len(gpus.json("models")["models"]), total
    assert f"{numbers[-1]} not computed" in total
    reasons = {line.strip().partition(": ")[0]: line.partition(": ")[2].split(", ") for line in more if line.startswith("  ")}
    assert "ours-4b" in reasons["size not known"]
    assert sum(map(len, reasons.values())) == numbers[-1]
    assert [line for line in more if line.startswith("not computed: deployer fit ORG/NAME ")]


def test_whether_one_entry_fits(gpus: Bench) -> None:
    done = gpus("models", "qwen3-0.6b", "--fits", "h1")
    assert done.code == 0
    assert [line.split()[1] for line in done.out.splitlines()[1:]] == ["qwen3-0.6b"]
    assert "1 of 1 fit" in done.err
    [one] = gpus.json("models", "ours-70b", "--fits", "h1")["models"]
    assert (one["name"], one["ways"][0]["verdict"], one["ways"][0]["settings"]) == ("ours-70b", "no", {})


@pytest.mark.parametrize(
    "words", [["--engine", "vllm"], ["qwen3-0.6b", "--kind", "chat"], ["qwen3-0.6b", "--engine", "vllm", "--fits", "h1"]]
)
def test_an_option_that_would_do_nothing_is_not_swallowed(gpus: Bench, words: list[str]) -> None:
    done = gpus("models", *words)
    assert done.code == 64
    assert words[-2 if "--fits" not in words else 1] in done.err


def test_an_entry_whole_is_a_deployment_that_validates(gpus: Bench) -> None:
    text = gpus("models", "Qwen/Qwen3-8B", "--engine", "ctranslate2").out
    assert "# source       https://" in text
    assert yaml.safe_load(text)["model"] == {"catalog": "qwen3-8b"}
    (gpus.root / "deployments/new.yaml").write_text(text)
    assert gpus("validate").code == 0
    assert yaml.safe_load(gpus.json("models", "qwen3-8b")["deployment"]) == {
        "name": "qwen3-8b",
        "model": {"catalog": "qwen3-8b"},
        "engine": {
            "vllm": {"args": {"enable_auto_tool_choice": True, "tool_call_parser": "hermes", "reasoning_parser": "qwen3"}}
        },
    }


def test_what_is_wrong_is_said_where_it_stands_and_a_wrong_name_with_a_near_one(gpus: Bench) -> None:
    done = gpus("models", "qwen3-8")
    assert (done.code, "did you mean qwen3-8b?" in done.err) == (64, True)
    (gpus.root / "catalog/ours.yaml").write_text(OWN.replace("70B", "many"))
    done = gpus("models")
    assert done.code == 3
    assert "catalog/ours.yaml:5:13: parameters must be" in done.err


def test_names_are_completed_and_others_are_taken(gpus: Bench, tmp_path: Path) -> None:
    assert "llama-3.3-70b-instruct" in gpus("completion", "bash").out
    assert json.loads(gpus("models", "ours-70b", "--json").out)["repo"] == "acme/ours-70b"


def test_fit_knows_the_names_of_the_catalogue(gpus: Bench) -> None:
    done = gpus("fit", "qwen3-8b", "--engine", "vllm", "--host", "h1", "--context", "8192")
    assert done.code == 0
    assert done.out.splitlines()[0].endswith("(from the catalogue)")
    assert "did you mean qwen3-8b?" in gpus("fit", "qwen3-8").err
    translator = gpus.json("fit", "nllb-200-3.3b", "--engine", "ctranslate2", "--host", "h1")
    assert [way["verdict"] for way in translator["ways"]] == ["fits"]
    assert translator["ways"][0]["settings"]["target_language"] == "deu_Latn"
