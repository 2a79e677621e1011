import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.errors import LockfileError
from deployer.lock.facts import facts_from_config, has_template, parse_config
from tests.lock.examples import LLAMA


def test_a_llama_config_gives_the_numbers_a_planner_needs() -> None:
    facts = facts_from_config(LLAMA, license="mit", weights_bytes=7)
    assert facts.architectures == ("LlamaForCausalLM",)
    assert (facts.model_type, facts.dtype, facts.context, facts.vocab_size) == ("llama", "bfloat16", 2048, 1024)
    assert (facts.hidden_size, facts.layers, facts.heads, facts.kv_heads) == (256, 2, 4, 2)
    assert (facts.head_dim, facts.quantization, facts.license, facts.weights_bytes) == (None, None, "mit", 7)


def test_the_language_model_inside_a_multimodal_one_is_what_counts() -> None:
    inner = {**LLAMA, "model_type": "gemma3_text", "head_dim": 64, "dtype": "float16"}
    facts = facts_from_config({"architectures": ["Outer"], "model_type": "gemma3", "text_config": inner, "hidden_size": 9})
    assert (facts.architectures, facts.model_type) == (("Outer",), "gemma3")
    assert (facts.hidden_size, facts.layers, facts.head_dim, facts.dtype) == (256, 2, 64, "float16")


def test_older_names_of_the_same_numbers_are_known() -> None:
    facts = facts_from_config({"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024})
    assert (facts.hidden_size, facts.layers, facts.heads, facts.context) == (768, 12, 12, 1024)


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        (None, 2048),
        ({"rope_type": "llama3", "factor": 8.0}, 2048),
        ({"rope_type": "linear", "factor": 2.0}, 4096),
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}, 4096),
        ({"rope_type": "linear", "factor": "big"}, 2048),
    ],
)
def test_the_context_counts_rope_scaling_as_engines_do(scaling: object, context: int) -> None:
    assert facts_from_config({**LLAMA, "rope_scaling": scaling}).context == context


def test_the_quantization_is_the_method_the_config_names() -> None:
    assert facts_from_config({**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}}).quantization == "awq"


def test_what_a_config_does_not_say_is_none_and_wrong_types_are_not_believed() -> None:
    facts = facts_from_config({"hidden_size": True, "num_hidden_layers": "12", "num_attention_heads": [4, 4], "vocab_size": -1})
    assert (facts.hidden_size, facts.layers, facts.heads, facts.vocab_size) == (None, None, None, None)


@pytest.mark.parametrize(("text", "says"), [("{", "not JSON"), ("[1]", "a list"), ("", "not JSON"), ("[" * 100_000, "not JSON")])
def test_a_broken_config_is_named_with_its_file(text: str, says: str) -> None:
    with pytest.raises(LockfileError, match=says) as raised:
        parse_config(text, "models/x/config.json")
    assert raised.value.where == "models/x/config.json"


def test_a_chat_template_is_seen_only_when_there_is_one() -> None:
    assert has_template('{"chat_template": "x"}')
    assert not has_template('{"chat_template": null}')
    assert not has_template("not json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from([*LLAMA, "text_config", "rope_scaling", "factor", "quantization_config", "head_dim", "thinker_config"])


@settings(max_examples=60)
@given(st.dictionaries(_KEYS, _JSON | st.dictionaries(_KEYS, _JSON, max_size=4), max_size=8))
def test_no_config_that_is_json_can_break_the_reading(config: dict[str, object]) -> None:
    facts = facts_from_config(json.loads(json.dumps(config)))
    assert facts.context is None or facts.context > 0
    assert facts.heads is None or facts.heads > 0
