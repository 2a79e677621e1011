"""What vLLM would swallow is refused with the word that was meant; what is right reaches it as it was written."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployer.engines.vllm_args import arguments, check_argument, config_lines
from deployer.engines.vllm_flags import flags
from tests.engines.builders import messages


def told(name: str, value: Any, version: str = "0.32.0") -> str:
    found = check_argument(version, name, value)
    return "" if found is None else f"{found[0]} [{found[1]}]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enable_prefix_caching", True),
        ("enable-prefix-caching", False),
        ("--enable_prefix_caching", False),
        ("enforce_eager", True),
        ("seed", -1),
        ("max_num_batched_tokens", "16k"),
        ("cpu_offload_gb", 4),
        ("load_format", "dummy"),
        ("hf_overrides", {"rope_scaling": {"factor": 2.0}}),
        ("speculative_config", {"method": "ngram", "num_speculative_tokens": 3}),
        ("max_lora_rank", 64),
        ("generation_config", "vllm"),
        ("disable_log_stats", True),
    ],
)
def test_right_arguments_pass(name: str, value: Any) -> None:
    assert told(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("enable_prefix_cachin", True, "vLLM 0.32.0 has no option enable_prefix_cachin [did you mean enable_prefix_caching?]"),
        ("enable_pref", True, "[did you mean enable_prefix_caching?]"),
        ("no_such_flag", False, "has no option no_such_flag"),
        ("no_enable_prefix_caching", True, "write enable_prefix_caching: false"),
        ("swap_space", 4, "has no option swap_space"),
        ("disable_log_requests", True, "[did you mean enable_log_requests?]"),
        ("enable_prefix_caching", "yes", "must be true or false"),
        ("disable_log_stats", False, "can only be switched on"),
        ("load_format", None, "vLLM would read the text None"),
        ("allowed_origins", "x", "must be a mapping"),
        ("seed", "one", "seed must be a whole number"),
        ("seed", True, "seed must be a whole number"),
        ("seed", 1.5, "seed must be a whole number"),
        ("max_num_batched_tokens", "16 thousand", "must be a number such as 8192 or 8k"),
        ("tokenizer_mode", "", "would take '' for another option"),
        ("load_format", "--api-key", "would take '--api-key' for another option"),
        ("allowed_media_domains", ["a", "--api-key", "x"], "would take '--api-key' for another option"),
        ("allowed_media_domains", [], "an empty list: vLLM would ignore it"),
        ("load_format", ["a", "b"], "takes one value"),
        ("scheduling_policy", "priorty", "[did you mean priority?]"),
        ("max_lora_rank", 7, "[one of 1, 8, 16"),
        ("generation_config", "none-such", "one of auto, vllm"),
        ("hf_overrides", "{broken", "must be a mapping"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_meant(name: str, value: Any, message: str) -> None:
    assert message in told(name, value)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("host", "gateway"),
        ("port", "gateway"),
        ("uds", "gateway"),
        ("api_key", "endpoint.keys"),
        ("api-key", "endpoint.keys"),
        ("--api-key", "endpoint.keys"),
        ("model", "model:"),
        ("served_model_name", "endpoint.model_names"),
        ("override_generation_config", "sampling"),
        ("max_model_len", "engine.vllm.max_model_len"),
        ("tensor-parallel-size", "engine.vllm.tensor_parallel"),
        ("device_memory_utilization", "engine.vllm.gpu_memory_utilization"),
        ("device_ids", "placement.gpus"),
        ("config", "args"),
    ],
)
@pytest.mark.parametrize("value", ["", "x", 1, True, ["", ""]])
def test_what_deployer_sets_cannot_be_set_twice(name: str, instead: str, value: Any) -> None:
    assert instead in told(name, value)


@pytest.mark.parametrize("name", ["data_parallel_size", "nnodes", "master_addr"])
def test_replicas_over_several_hosts_are_not_there_yet(name: str) -> None:
    assert "not supported yet" in told(name, 2)


def test_an_option_of_a_newer_version_is_known_there_only() -> None:
    assert told("monokernel", True, "0.33.0") == ""
    assert told("monokernel", True) == (
        "vLLM 0.32.0 has no option monokernel yet: it comes with 0.33 [leave it out, or raise version]"
    )


def test_an_option_that_is_gone_is_told_since_when_and_what_came_in_its_place() -> None:
    assert told("enable_mamba_fine_grained_prefix_cache", True) == (
        "vLLM 0.32.0 has no option enable_mamba_fine_grained_prefix_cache any more: removed in 0.31 "
        "[0.31 brought enable_mamba_shared_prefix_checkpoint in its place]"
    )
    assert told("enable_mamba_fine_grained_prefix_cache", True, "0.30.0") == ""


def test_a_choice_that_is_gone_is_refused_with_the_ones_there_are() -> None:
    assert told("mamba_cache_mode", "all") == "mamba_cache_mode cannot be 'all' [one of align, none]"
    assert told("mamba_cache_mode", "all", "0.31.0") == ""


def test_a_version_newer_than_we_know_may_have_new_options_but_no_misspelt_ones() -> None:
    assert told("quantum_rotation_axis", 3, "0.40.0") == ""
    assert "did you mean enable_prefix_caching" in told("enable_prefix_chaching", True, "0.40.0")


def test_the_table_holds_what_vllms_parser_holds() -> None:
    """vllm-0.32.options.txt was written by the parser itself: name, action, type, nargs, choices."""
    rows = [line.split("\t") for line in (Path(__file__).parent / "vllm-0.32.options.txt").read_text().splitlines()]
    table = flags("0.32")
    assert {row[0] for row in rows} == set(table)
    for name, action, kind, nargs, choices in rows:
        flag = table[name]
        assert (flag.kind == "switch") == (action == "BooleanOptionalAction"), name
        assert (flag.kind == "true") == (action == "_StoreTrueAction"), name
        assert flag.many == (nargs == "+"), name
        if kind in ("int", "float"):
            assert (flag.kind == kind) or flag.choices, name
        if kind.startswith("human_readable_int"):
            assert flag.kind == "size", name
        if name != "mm-processor-device":  # its choices depend on the machine, so the table leaves them open
            assert {c for c in flag.choices if c != "None"} == {c for c in choices.split() if c != "None"}, name


def test_other_facts_of_the_table() -> None:
    assert flags("0.32")["dtype"].choices == ("auto", "bfloat16", "float", "float16", "float32", "half")
    assert flags("0.32")["enforce-eager"].kind == "switch"


def test_every_problem_is_told_at_its_own_place() -> None:
    found = messages("vllm", {"args": {"seed": "x", "max_model": "1k"}})
    assert [m.partition(":")[0] for m in found] == ["engine.vllm.args.seed", "engine.vllm.args.max_model"]


def test_false_is_written_out_since_vllm_drops_it() -> None:
    assert list(arguments("0.32.0", {"enable_prefix_caching": False})) == [("no-enable-prefix-caching", True)]


def test_mappings_become_json_and_lists_stay_lists() -> None:
    written = dict(arguments("0.32.0", {"hf_overrides": {"a": 1}, "lora_modules": [{"name": "a", "path": "/x"}]}))
    assert written == {"hf-overrides": '{"a": 1}', "lora-modules": ['{"name": "a", "path": "/x"}']}


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


@given(st.dictionaries(st.sampled_from(["a", "b-c", "d"]), st.one_of(VALUES, st.booleans(), st.integers(), st.lists(VALUES))))
def test_the_file_reads_back_as_it_was_written(options: dict[str, Any]) -> None:
    assert (yaml.safe_load(text := "".join(config_lines(options).values())) or {}) == options
    assert len(text.splitlines()) == len(options)


def test_nested_json_survives_two_kinds_of_quotes() -> None:
    value = json.dumps({'q"uo\\te': ["ü", "\n", "{{ x }}"]}, ensure_ascii=False)
    assert yaml.safe_load("".join(config_lines({"hf-overrides": value}).values())) == {"hf-overrides": value}
