"""deployer's own catalogue: every entry is one that can be deployed, and says where its figures are from."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.app import catalog, checking
from deployer.app.draft import Draft
from deployer.app.drafting import taken
from deployer.engines import ENGINES, vllm_flags
from deployer.engines.base import TakesFiles
from deployer.engines.vllm_quantizations import METHODS
from deployer.errors import UsageError
from deployer.spec.catalog import FACTS, KINDS, CatalogEntry, number
from deployer.spec.shelf import Shelved
from deployer.state.locked import Locked, LockedModel

#: vllm 0.32.0: tool_parsers/__init__.py and reasoning/__init__.py. What runs with no parser at all has none here.
TOOL_PARSERS = """
dots deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 deepseek_v41 cohere_command3 cohere_command4 ernie45 glm45 glm47
ling3 granite granite4 hermes hf poolside_v1 hunyuan_a13b hy_v3 hy_v4 internlm jamba lfm2 kimi_k2 kimi_k3 k2_horizon
llama3_json llama4_json llama4_pythonic longcat mimo minimax_m2 minimax_m3 minicpm5 mistral olmo3 plamo3 muse_glimmer
openai phi4_mini_json pythonic qwen3_coder qwen3_json qwen3_xml seed_oss step3 step3p5 inkling xlam gigachat3
functiongemma gemma4 apertus
"""
REASONING_PARSERS = """
deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 poolside_v1 cohere_command3 cohere_command4 ernie45 gemma4 glm45 glm47
ling3 openai_gptoss granite hf holo2 hunyuan_a13b hy_v3 hy_v4 kimi_k2 kimi_k3 k2_horizon mimo minicpmv minimax_m2
minimax_m2_append_think minimax_m3 mistral nemotron_v3 olmo3 plamo3 muse_glimmer qwen3 seed_oss step3 step3p5 inkling
"""
FLEET = 'id: "0123abcd"\nname: acme\n'


@functools.cache
def everything() -> dict[str, Shelved]:
    return catalog.entries(Path("/nowhere"))


def test_there_are_models_of_every_kind_and_no_repository_twice():
    entries = [shelf.entry for shelf in everything().values()]
    assert len(entries) >= 40
    assert {entry.kind for entry in entries} == set(KINDS)
    assert len({entry.repo for entry in entries}) == len(entries)


def test_a_file_is_called_as_its_entry_and_lies_where_a_wheel_takes_it():
    package = Path(catalog.__file__).parents[1]
    for name, shelf in everything().items():
        assert shelf.file == f"deployer/catalog/{name}.yaml"
        assert not shelf.own
        assert (package.parent / shelf.file).is_file()


def _ours(settings: Mapping[str, Any]) -> bool:
    """Settings that are a choice of ours, and no fact that somebody else states."""
    return set(settings) <= {"quantization", "source_language", "target_language", "args"} and set(settings.get("args", {})) <= {
        "runner"
    }


def test_every_figure_has_an_address_and_every_address_a_figure():
    for name, shelf in everything().items():
        entry = shelf.entry
        stands = {fact for fact in FACTS if getattr(entry, fact) not in (None, (), {})}
        if all(_ours(settings or {}) for settings in entry.engines.values()):
            stands.discard("engines")
        said = [fact for source in entry.sources for fact in source.says]
        assert stands <= set(said), f"{name}: nothing says {sorted(stands - set(said))}"
        assert all(getattr(entry, fact) not in (None, (), {}) for fact in said), name
        assert not {"parameters", "size", "config"} & {
            fact for source in entry.sources if not source.read for fact in source.says
        }, name
        assert entry.guidance, name


def test_parsers_are_those_that_vllm_has():
    newest = vllm_flags.flags(vllm_flags.KNOWN[-1])
    for name, shelf in everything().items():
        found = catalog.parsers(shelf.entry)
        assert found.get("tool_call_parser", "hermes") in TOOL_PARSERS.split(), name
        assert found.get("reasoning_parser", "qwen3") in REASONING_PARSERS.split(), name
        args = (shelf.entry.engines.get("vllm") or {}).get("args") or {}
        assert {option.replace("_", "-") for option in args} <= {flag.replace("_", "-") for flag in newest}, name
        assert ("tool_call_parser" in args) == ("enable_auto_tool_choice" in args), name  # one without the other does nothing


def test_quantizations_are_those_that_an_engine_reads():
    families = {method.family for method in METHODS.values()} - {None}
    for name, shelf in everything().items():
        for one in shelf.entry.quantized:
            assert one.method in families or one.method == "gguf", f"{name}: {one.method}"
            assert one.repo != shelf.entry.repo


def test_every_engine_of_every_entry_is_a_deployment_that_validates(tmp_path: Path):
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployer.yaml").write_text(FLEET)
    for name, shelf in everything().items():
        for number_of, engine in enumerate(shelf.entry.engines):
            text = catalog.deployment(shelf.entry, engine).replace("name: ", f"name: d{number_of}-"[:9], 1)
            head, _, rest = text.partition("\n")
            (tmp_path / f"deployments/{name}-{engine}.yaml").write_text(f"{head[:45].rstrip('-')}\n{rest}\n")
    loaded = checking.load(tmp_path)
    assert len(loaded.fleet.deployments) == sum(len(shelf.entry.engines) for shelf in everything().values())
    for spec in loaded.fleet.deployments.values():
        shelf = everything()[spec.model.catalog or ""]
        assert spec.model.repo == shelf.entry.repo
        assert not isinstance(ENGINES[spec.engine.name], TakesFiles)  # a repository of GGUF files needs model.file


def test_every_engine_reads_the_models_architecture_as_far_as_it_is_known(tmp_path: Path):
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployer.yaml").write_text(FLEET)
    for shelf in everything().values():
        if "architectures" not in shelf.entry.config:
            continue
        for engine in shelf.entry.engines:
            text = catalog.deployment(shelf.entry, engine)
            spec = checking.load(tmp_path, {"deployments/a.yaml": text}).fleet.deployments
            said = ENGINES[engine].check_model(next(iter(spec.values())), catalog.locked_as(shelf.entry, Locked()))
            assert not said, f"{shelf.entry.name}, {engine}: {said[0].message}"


def test_size_is_parameters_times_their_type_or_that_of_the_files_where_they_are_quantized():
    entries = {name: shelf.entry for name, shelf in everything().items()}
    facts = catalog.locked_as(entries["qwen3-8b"], Locked()).facts
    assert (facts.weights_bytes, facts.context, facts.layers) == (2 * number("8.2B"), 40960, 36)
    known = {
        name: catalog.locked_as(entries[name], Locked()).facts
        for name in ("gpt-oss-20b", "minimax-m2.7", "ministral-3-14b-instruct-2512")
    }
    assert known["gpt-oss-20b"].weights_bytes == 13_760_000_000
    assert known["minimax-m2.7"].weights_bytes == 230 * 10**9 + 2 * 200064 * 3072, (
        "fp8, but for the embeddings and the output layer"
    )
    assert known["ministral-3-14b-instruct-2512"].quantization == "fp8"
    bare = entries["kimi-k2.6"].model_copy(update={"size": None})
    assert catalog.locked_as(bare, Locked()).facts.weights_bytes is None
    exact = LockedModel("hub:Qwen/Qwen3-8B@main", "hub", "Qwen/Qwen3-8B", "main", "c" * 40, "d")
    assert catalog.locked_as(entries["qwen3-8b"], Locked(models={exact.key: exact})) is exact


def test_a_name_or_a_repository_leads_to_an_entry_and_another_word_to_a_near_one():
    assert catalog.one(everything(), "qwen3-8b") is catalog.one(everything(), "Qwen/Qwen3-8B")
    with pytest.raises(UsageError, match="the catalogue has no qwen3-9") as caught:
        catalog.one(everything(), "qwen3-9b")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean qwen3")


def test_a_licence_is_not_accepted_for_anybody():
    text = catalog.deployment(everything()["llama-3.1-8b-instruct"].entry)
    assert "\n  # accept_license: llama3.1 " in text
    assert "\n  token: {env: HF_TOKEN}\n" in text
    with pytest.raises(UsageError, match="names no settings of ollama"):
        catalog.deployment(everything()["qwen3-8b"].entry, "ollama")


def test_a_wheel_has_every_entry():
    from hatchling.builders.wheel import WheelBuilder

    root = Path(catalog.__file__).parents[2]
    files = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    assert {shelf.file for shelf in everything().values()} <= files


#: What a fleet's own entry may say beside words and numbers.
ODD = {
    "max_model_len": 4096,
    "args": {
        "limit_mm_per_prompt": {"image": 2, "video": 0},
        "hf_overrides": {"rope": {"factor": 2.5}, "window": None},
        "middleware": ["a.b", "c d"],
        "long_prefill_token_threshold": 0.04,
        "seed": -1,
        "revision": "08",
        "enforce_eager": True,
    },
}


@pytest.mark.parametrize("written", ["to paste", "by the wizard"])
def test_settings_of_every_shape_are_written_as_they_are(written: str):
    entry = CatalogEntry.model_validate(
        {"name": "odd", "about": "odd", "kind": "chat", "repo": "org/odd", "engines": {"vllm": ODD}}
    )
    text = catalog.deployment(entry) if written == "to paste" else taken(Draft(), entry).yaml()
    assert yaml.safe_load(text)["engine"] == {"vllm": ODD}
