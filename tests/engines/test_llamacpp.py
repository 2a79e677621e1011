"""llama.cpp: one file, the slots it is given, and every text of the YAML in its arguments as it was written."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.engines import ENGINES, programs
from deployer.engines.base import Slot
from deployer.engines.launch import PLACEHOLDERS, launch
from deployer.spec.models import Batch, DeploymentSpec, EndpointSpec, ModelSpec, Placement, Sampling
from deployer.state.locked import LockedModel
from tests.engines.builders import CPU_SLOT, GPU, GPU_SLOT, deployment, messages, model
from tests.render.test_quote import unquoted

ENGINE = ENGINES["llamacpp"]
GGUF = model("tiny-q8.gguf")
PROGRAM = "/usr/local/bin/llama-server"


def arguments(engine_settings: dict[str, Any], slot: Slot = CPU_SLOT, locked: LockedModel = GGUF, **fields: Any) -> list[str]:
    return list(ENGINE.process(deployment("llamacpp", engine_settings, **fields), locked, slot).argv)


def after(words: list[str], option: str) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == option]


def test_a_deployment_says_file_names_slots_and_context() -> None:
    words = arguments({"max_model_len": 512}, batch=Batch(max_size=3), endpoint=EndpointSpec(model_names=("acme/tiny",)))
    assert words[:7] == [
        "{env}/bin/llama-server",
        *("--model", "{model}/tiny-q8.gguf", "--host", "127.0.0.1", "--port", "20000"),
    ]
    assert after(words, "--alias") == ["chat,acme/tiny"]
    assert after(words, "--parallel") == ["3"]
    assert after(words, "--ctx-size") == ["1536"]  # it is divided among the slots
    assert "--no-kv-unified" in words
    assert after(words, "--device") == ["none"]


def test_without_a_length_all_requests_share_the_models_context() -> None:
    words = arguments({})
    assert after(words, "--ctx-size") == ["0"]
    assert "--kv-unified" in words


def test_on_gpus_all_layers_are_there_or_it_does_not_start() -> None:
    spec = deployment("llamacpp", {"device": "cuda", "cache_type_k": "q8_0", "flash_attn": "on"})
    process = ENGINE.process(spec, GGUF, GPU_SLOT)
    words = list(process.argv)
    assert process.env["CUDA_VISIBLE_DEVICES"] == GPU
    assert after(words, "--device") == ["CUDA0"]
    assert after(words, "--gpu-layers") == ["999"]
    assert after(words, "--fit") == ["off"]
    assert (after(words, "--cache-type-k"), after(words, "--flash-attn")) == (["q8_0"], ["on"])
    assert after(arguments({"gpu_layers": 7}, GPU_SLOT), "--gpu-layers") == ["7"]


def test_every_default_of_sampling_reaches_it() -> None:
    sampling = Sampling(
        temperature=0.0,
        top_p=0.9,
        top_k=-1,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        seed=7,
        max_tokens=64,
        stop=("</s>", "-x"),
    )
    words = arguments({}, sampling=sampling)
    assert {option: after(words, option)[0] for option in ("--temp", "--top-p", "--top-k", "--min-p", "--seed", "--predict")} == {
        "--temp": "0.0",
        "--top-p": "0.9",
        "--top-k": "0",
        "--min-p": "0.1",
        "--seed": "7",
        "--predict": "64",
    }
    assert after(words, "--reverse-prompt") == ["</s>", "-x"]
    assert "--no-escape" in words


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20) | st.sampled_from(
    ["%h", "$HOME", '"', "\\n"]
)


@given(stop=st.lists(WORDS, max_size=3), name=WORDS)
@settings(max_examples=50)
def test_any_stop_and_name_is_one_argument_of_the_unit(stop: list[str], name: str) -> None:
    spec = deployment("llamacpp", {}, sampling=Sampling(stop=tuple(stop)), endpoint=EndpointSpec(model_names=(name,)))
    if any(word in text for word in PLACEHOLDERS for text in (*stop, name)):
        return  # refused
    process = ENGINE.process(spec, GGUF, CPU_SLOT)
    paths = {"env": "/opt/e", "model": "/srv/m", "serve": ""}
    made = launch(process, spec, CPU_SLOT, fleet="odd", fleet_id="0ddba115", identity=("e", "m"), paths=paths)
    (line,) = [line for line in made.text.splitlines() if line.startswith("ExecStart=")]
    words = unquoted(line.removeprefix("ExecStart="))
    assert after(words, "--reverse-prompt") == stop
    assert after(words, "--alias") == [f"chat,{name}"]


def test_its_program_is_a_wheel_that_no_index_has_or_one_of_the_host() -> None:
    (own,) = ENGINE.environments(deployment("llamacpp"))
    assert (own.name, own.requirements) == ("llamacpp-cpu-11434", ("deployer-llama-server==11434+cpu",))
    (cuda,) = ENGINE.environments(deployment("llamacpp", {"device": "cuda", "version": "11500"}))
    assert cuda.requirements == ("deployer-llama-server==11500+cuda",)
    spec = deployment("llamacpp", {"program": PROGRAM})
    assert ENGINE.environments(spec) == ()
    assert programs(spec) == (PROGRAM,)
    assert programs(deployment("llamacpp")) == programs(deployment("vllm")) == ()
    assert arguments({"program": PROGRAM})[0] == PROGRAM


def spec_of(file: str | None = None, **where: Any) -> DeploymentSpec:
    return deployment("llamacpp", model=ModelSpec(file=file, **(where or {"repo": "acme/tiny"})))


def test_the_file_is_the_one_that_is_named_or_the_only_one() -> None:
    several = model("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")
    assert arguments({}, locked=several)[2] == "{model}/a-00001-of-00002.gguf"
    assert ENGINE.check_model(spec_of(), several) == ()
    [complaint] = ENGINE.check_model(spec_of(), model("a-q4.gguf", "a-q8.gguf"))
    assert complaint.message == "acme/tiny holds 2 GGUF files"
    assert ENGINE.check_model(spec_of("a-q8.gguf"), model("a-q4.gguf", "a-q8.gguf")) == ()
    named = ENGINE.process(spec_of("b/c.gguf", host_path="/srv/m"), None, CPU_SLOT)
    assert named.argv[2] == "{model}/b/c.gguf"


def test_a_model_without_gguf_or_with_a_shorter_context_is_refused() -> None:
    [none] = ENGINE.check_model(spec_of(), model())
    assert "holds no GGUF file" in none.message
    [short] = ENGINE.check_model(deployment("llamacpp", {"max_model_len": 4096}), GGUF)
    assert short.message == "max_model_len 4096 is more than the model's context of 2048 tokens"


@pytest.mark.parametrize(
    ("engine_settings", "fields", "message"),
    [
        ({"gpu_layers": 3}, {}, "it runs on the CPU"),
        ({"device": "cuda"}, {"placement": Placement(gpus=0)}, "device: cuda wants a GPU"),
        ({"program": PROGRAM, "version": "11434"}, {}, "program names another one"),
        ({"cache_type_v": "q8_0", "flash_attn": "off"}, {}, "values of q8_0 want flash attention"),
        ({}, {"model": ModelSpec(host_path="/srv/m")}, "which file of the folder is it?"),
        ({}, {"model": ModelSpec(repo="a/b", file="x/../../y.gguf")}, "the file must be inside the model"),
        ({}, {"endpoint": EndpointSpec(model_names=("a,b",))}, "a comma as the end of a name"),
        ({}, {"sampling": Sampling(stop=("\x07",))}, "holds a control character"),
        ({}, {"sampling": Sampling(stop=("{model}",))}, "a word of deployer's own"),
        ({}, {"batch": Batch(max_wait=1.0)}, "never waits"),
        ({"env": {"LLAMA_API_KEY": "x"}}, {}, "env may not hold LLAMA_API_KEY"),
    ],
)
def test_what_cannot_be_is_refused(engine_settings: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    assert message in " ".join(messages("llamacpp", engine_settings, **fields))
