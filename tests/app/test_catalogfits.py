"""Which hosts could serve an entry of the catalogue, in words."""

from typing import Any

import pytest

from deployer.app.catalogfits import Fits, fits, needed, words
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


def test_what_is_not_known_is_not_said_to_be_missing() -> None:
    alone = said(hosts(a=80, b=8), config={})
    assert words(alone) == "its weights fit a"
    assert "deployer.lock" in alone.why
    assert words(said(hosts(a=80), config={}, parameters=None)) == "whether it fits is not computed"
    assert words(said({})) == "whether it fits is not computed"


@pytest.mark.parametrize(("gpus", "text"), [(0, "needs 18 GiB"), (1, "needs 18 GiB"), (4, "needs 4 × 18 GiB")])
def test_what_it_needs(gpus: int, text: str) -> None:
    assert needed(Fits(needs=18 * GIB, gpus=gpus, computed=True)) == text
