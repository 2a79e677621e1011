"""Which hosts could serve an entry of the catalogue, in words."""

from pathlib import Path
from typing import Any

import pytest

from deployer.app.catalog import entries
from deployer.app.catalogfits import Fits, best, fits, needed, stands, surveys, words
from deployer.spec.catalog import CatalogEntry
from deployer.spec.shelf import Shelved
from deployer.state.locked import Locked
from deployer.state.observed import Observed, Reached, Unreached
from tests.plan.worlds import probe

GIB = 1 << 30
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}


def hosts(**memory: int) -> Observed:
    """By name, with two GPUs of so many GiB."""
    found: dict[str, Reached | Unreached] = {}
    for name, gib in memory.items():
        said = probe(name, gpus=2)
        for gpu in said["gpus"]:
            gpu.update(memory_total=gib * GIB, memory_used=0, capability="9.0", name=f"NVIDIA {gib}")
        found[name] = Reached(name, said, 0.1)
    return found


def said(observed: Observed, **more: Any) -> Fits:
    model = {"name": "m", "about": "a model", "kind": "chat", "repo": "org/m", "engines": {"vllm": {}}, "parameters": "8B"}
    shelf = Shelved(
        CatalogEntry.model_validate({**model, "config": LLAMA, "weights": "bfloat16", **more}), "catalog/m.yaml", True
    )
    return fits([shelf], Locked(), observed, {})["m"]


def test_the_hosts_that_could_serve_it_are_named() -> None:
    found = said({**hosts(a=80, b=8, c=80), "d": Unreached("d", "timeout", "no answer")})
    assert words(found) == "fits a, c"
    assert found.why == "vllm on 1 of 2 NVIDIA 80, 80 GiB of a"
    assert words(said(hosts(a=80, b=80, c=80, d=80, e=80))) == "fits a, b, c and 2 more"


def test_where_none_could_the_smallest_that_would_do_is_said() -> None:
    found = said(hosts(a=8, b=6))
    assert words(found).startswith("fits no host: needs 2 × ")
    assert words(said(hosts(z=found.needs // GIB))) == "fits z", "what is said to be needed does"
    assert words(said(hosts(z=found.needs // GIB - 1))).startswith("fits no host")


def test_only_the_engines_that_the_entry_names_count() -> None:
    assert said(hosts(a=80), engines={"ollama": {}}).hosts == ()


@pytest.mark.parametrize("engines", [("vllm", "transformers"), ("transformers", "vllm")])
def test_of_engines_that_do_as_well_the_one_that_the_entry_names_first_is_taken(engines: tuple[str, str]) -> None:
    found = said(hosts(a=80), engines={engine: {} for engine in engines})
    assert found.why.startswith(f"{engines[0]} on 1 of 2 NVIDIA 80")


def test_what_is_not_known_is_not_said_to_be_missing() -> None:
    alone = said(hosts(a=80, b=8), config={})
    assert words(alone) == "its weights fit a"
    assert "deployer.lock" in alone.why
    nothing = said(hosts(a=80), config={}, parameters=None)
    assert words(nothing) == words(said({})) == "whether it fits is not computed"
    assert nothing.lacks == "size not known"
    assert nothing.why.startswith("its entry does not say its size; deployer fit org/m asks the hub, and deployer.lock has it")
    assert said(hosts(a=8), config={}).lacks == "layers not known"
    assert said({"a": Unreached("a", "timeout", "no answer")}).why == "no host answered"


@pytest.mark.parametrize("memory", [24, 20])
def test_what_fits_with_shorter_requests_alone_says_how_long_they_may_be(memory: int) -> None:
    found = said(hosts(a=memory, b=6), config={**LLAMA, "max_position_embeddings": 1 << 20})
    assert words(found) == f"fits a with requests of at most {found.context} tokens"
    assert f"with max_model_len {found.context}; weights " in found.why
    short = {**LLAMA, "max_position_embeddings": found.context}
    assert said(hosts(a=memory), config=short).hosts == ("a",)


def test_requests_that_are_too_short_for_anybody_are_no_fit() -> None:
    """704 tokens go into the cache of an 8B on one GPU of 18 GiB."""
    one = hosts(a=18)
    assert isinstance(one["a"], Reached)
    one["a"].probe["gpus"] = one["a"].probe["gpus"][:1]
    found = said(one)
    assert (found.hosts, found.shorter, found.computed) == ((), (), True)
    assert words(found).startswith("fits no host: needs ")


def test_of_several_hosts_the_one_that_suits_it_best_counts() -> None:
    shelf = entries(Path("/nowhere"))["qwen3-8b"]
    ours = [(one, found) for one, found in surveys([shelf], Locked(), hosts(small=6, large=80), {})]
    assert [best(stands(one, found)) for one, found in ours] == ["fit"]
    assert {one.way.host: one.how for one in stands(*ours[0])}["large"] == "fit"
    assert best([]) == "unknown"


def test_settings_that_an_entry_begins_with_count() -> None:
    """Without its languages no engine takes a model that translates between many; int8 is half of 16 bits."""
    nllb = entries(Path("/nowhere"))["nllb-200-3.3b"]
    assert fits([nllb], Locked(), hosts(a=80), {})["nllb-200-3.3b"].hosts == ("a",)
    eight = said(hosts(a=12), engines={"ctranslate2": {"quantization": "int8"}})
    assert eight.hosts == ("a",)
    assert said(hosts(a=12), engines={"ctranslate2": {}}).hosts == ()


def test_of_ours_nearly_all_are_answered() -> None:
    """Those that are not have no address for a figure; whoever finds one takes the name out."""
    everything = entries(Path("/nowhere"))
    found = fits(everything.values(), Locked(), hosts(a=4), {})
    lacking = {name: one.lacks for name, one in found.items() if not one.computed}
    assert lacking == {
        "gemma-4-12b-it": "layers not known",
        "granite-3.3-2b-instruct": "size not known",
        "granite-3.3-8b-instruct": "size not known",
        "qwen3-coder-30b-a3b-instruct": "size not known",
    }


@pytest.mark.parametrize(("gpus", "text"), [(0, "needs 18 GiB"), (1, "needs 18 GiB"), (4, "needs 4 × 18 GiB")])
def test_what_it_needs(gpus: int, text: str) -> None:
    assert needed(Fits(needs=18 * GIB, gpus=gpus, computed=True)) == text
