"""LoRA adapters of vLLM: its options, what needs a new process, and what is refused before anything moves."""

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from deployer.engines import ENGINES
from deployer.engines.base import Adapter, Process, TakesAdapters
from deployer.engines.vllm import VLLM
from deployer.spec.models import AdapterSpec
from deployer.state.locked import AdapterFacts, LockedModel
from tests.engines.builders import GPU_SLOT, deployment, messages, model

SQL = AdapterSpec(name="sql", repo="acme/tiny-sql")
ON_HOST = Adapter("sql", "/models/sql/1", "a1b2c3d", 8)


def process(*adapters: Adapter, settings: dict[str, Any] | None = None, specs: tuple[AdapterSpec, ...] = (SQL,)) -> Process:
    return VLLM.process(deployment("vllm", settings, adapters=specs), model(), GPU_SLOT._replace(adapters=adapters))


def options(made: Process) -> dict[str, Any]:
    read = yaml.safe_load(made.files[0].content)
    assert isinstance(read, dict)
    return read


def adapter(*files: str, **facts: Any) -> LockedModel:
    known = {"base": "acme/tiny", "rank": 8, "targets": ("q_proj",), **facts}
    made = model(*(files or ("adapter_config.json", "adapter_model.safetensors")))
    return replace(made, name="acme/tiny-sql", facts=replace(made.facts, architectures=(), adapter=AdapterFacts(**known)))


def refused(locked: LockedModel, spec: AdapterSpec = SQL, **settings: Any) -> list[str]:
    found = VLLM.check_adapter(deployment("vllm", settings, adapters=(spec,)), 0, model(), locked)
    return [f"{'.'.join(map(str, c.path))}: {c.message} [{c.hint}]" for c in found]


def test_adapters_are_named_with_their_folders_and_the_rank_they_need() -> None:
    read = options(process(ON_HOST, Adapter("big", "/models/big/1", "0", 40)))
    assert read["enable-lora"] is True
    assert [json.loads(one) for one in read["lora-modules"]] == [
        {"name": "sql", "path": "/models/sql/1"},
        {"name": "big", "path": "/models/big/1"},
    ]
    assert (read["max-lora-rank"], read["max-loras"]) == ("64", 4)


def test_without_adapters_nothing_of_it_is_there() -> None:
    made = process(specs=())
    assert not {"enable-lora", "lora-modules", "max-loras"} & set(options(made))
    assert "lora" not in made.runtime
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in made.env


def test_another_list_needs_no_new_process_and_a_higher_rank_does() -> None:
    one, two, high = process(ON_HOST), process(ON_HOST, Adapter("b", "/b", "1", 16)), process(Adapter("b", "/b", "1", 17))
    assert one.runtime == two.runtime
    assert one.files != two.files
    assert (one.runtime["lora"], high.runtime["lora"]) == ("rank 16, 4 at once", "rank 32, 4 at once")
    reserved = {"args": {"enable_lora": True, "max_lora_rank": "32"}}
    assert process(specs=(), settings=reserved).runtime == process(high_adapter(), settings=reserved).runtime


def high_adapter() -> Adapter:
    return Adapter("b", "/b", "1", 32)


def test_the_paths_that_load_any_folder_are_for_loopback_alone() -> None:
    made = process(ON_HOST)
    assert made.env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert options(made)["host"] == "127.0.0.1"
    assert not [path for path in made.paths if "lora" in path]


def test_a_plain_adapter_of_this_model_is_taken() -> None:
    assert refused(adapter()) == []
    assert refused(adapter(base="checkpoints/run-3/TINY/")) == [], "a mirror or a checkout of it"
    assert refused(adapter(base=None)) == []


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (model(), "adapters.0: acme/tiny is no adapter: it has no adapter_config.json [None]"),
        (adapter("adapter_config.json"), "adapters.0: acme/tiny-sql has no weights [one of adapter_model.safetensors, "),
        (adapter(rank=None), "adapters.0: acme/tiny-sql does not say its rank (r in adapter_config.json) [None]"),
        (adapter(rank=1024), "adapters.0: acme/tiny-sql has rank 1024, and vLLM can do 512 at most [None]"),
        (adapter(unusual=("use_dora",)), "adapters.0: acme/tiny-sql is more than a plain LoRA, and vLLM cannot serve it: "),
        (
            adapter(base="org/other"),
            "adapters.0: acme/tiny-sql was trained on org/other, and this deployment serves acme/tiny "
            "[if that is meant, write in the adapter: base: org/other]",
        ),
    ],
)
def test_what_vllm_cannot_serve_is_said_before_anything_moves(locked: LockedModel, said: str) -> None:
    (found,) = refused(locked)
    assert found.startswith(said)


def test_another_base_can_be_meant() -> None:
    spec = AdapterSpec(name="sql", repo="acme/tiny-sql", base="org/other")
    assert refused(adapter(base="org/other"), spec) == []
    assert refused(adapter(base="org/third"), spec)[0].startswith("adapters.0.base: acme/tiny-sql was trained on org/third")


def test_a_rank_above_what_the_arguments_reserve_is_refused_there() -> None:
    (found,) = refused(adapter(rank=40), args={"max_lora_rank": "32"})
    assert found == "engine.vllm.args: acme/tiny-sql has rank 40, and max_lora_rank is 32 [max_lora_rank: 64, or leave it out]"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"enable_lora": False}, "enable_lora is off, and there are adapters"),
        ({"api_server_count": 2}, "several API servers cannot be told of an adapter at once"),
        ({"lora_modules": ["a=/b"]}, "args may not hold lora_modules: deployer sets it"),
    ],
)
def test_arguments_that_contradict_are_refused(args: dict[str, Any], said: str) -> None:
    assert any(said in one for one in messages("vllm", {"args": args}, adapters=(SQL,)))


def test_the_engines_say_whether_they_take_adapters() -> None:
    assert isinstance(ENGINES["vllm"], TakesAdapters)
    assert not isinstance(ENGINES["ctranslate2"], TakesAdapters)
