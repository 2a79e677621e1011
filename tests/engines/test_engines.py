"""What holds for every engine: purity of a start, a cause for each restart, failures that are told apart."""

import re
from typing import Any

import pytest
from pydantic import BaseModel

from deployer.engines import ENGINES, settings_models
from deployer.engines.base import Process
from deployer.engines.launch import PLACEHOLDERS, Launch, launch
from deployer.spec.models import Batch, DeploymentSpec, EndpointSpec, Logging, Resources, Rollout, Sampling
from tests.engines.builders import CPU_SLOT, deployment, model

#: One other value for each setting of an engine; a setting that is not here makes the test below fail.
OTHER: dict[str, dict[str, Any]] = {
    "vllm": {
        "version": "0.33.0",
        "variant": "cpu",
        "dtype": "float32",
        "max_model_len": 1024,
        "quantization": "fp8",
        "kv_cache_dtype": "fp8",
        "gpu_memory_utilization": 0.5,
        "tensor_parallel": 2,
        "pipeline_parallel": 2,
        "args": {"seed": 3},
        "env": {"A": "1"},
    },
    "ctranslate2": {
        "version": "4.9.0",
        "quantization": "int8",
        "compute_type": "int8",
        "device": "cpu",
        "inter_threads": 2,
        "intra_threads": 2,
        "max_model_len": 1024,
        "max_queue": 8,
        "env": {"A": "1"},
    },
}
#: These make another environment, which is part of what runs by its own name.
IN_THE_ENVIRONMENT = {"requirements", "exclude", "wheel", "index_url"}

engines = pytest.mark.parametrize("engine", sorted(ENGINES))


def started(spec: DeploymentSpec, **paths: str) -> Launch:
    process = ENGINES[spec.engine.name].process(spec, model(), CPU_SLOT)
    places = {
        "env": "/opt/deployer/engines/e-1",
        "model": "/var/lib/deployer/models/m/1",
        "serve": "/opt/deployer/engines/s-1/serve.pyz",
    }
    return launch(process, spec, CPU_SLOT, fleet="acme", fleet_id="7f3a9c21", identity=("e-1", "m-1"), paths={**places, **paths})


def test_the_settings_of_each_engine_are_offered_to_the_spec() -> None:
    assert set(settings_models()) == {"vllm", "ctranslate2"}
    assert all(issubclass(settings, BaseModel) for settings in settings_models().values())


@engines
def test_every_setting_that_is_changed_is_a_reason_to_restart_with_a_place_in_the_yaml(engine: str) -> None:
    plain = started(deployment(engine))
    fields = set(ENGINES[engine].Settings.model_fields)
    assert fields - IN_THE_ENVIRONMENT == set(OTHER[engine])
    for name, value in OTHER[engine].items():
        spec = deployment(engine, {name: value})
        assert started(spec).runtime_digest != plain.runtime_digest, name
        process = ENGINES[engine].process(spec, model(), CPU_SLOT)
        before = ENGINES[engine].process(deployment(engine), model(), CPU_SLOT).runtime
        changed = [key for key in process.runtime if process.runtime.get(key) != before.get(key)]
        assert changed
        assert all(process.sources[key][:2] == ("engine", engine) for key in changed), changed


@engines
@pytest.mark.parametrize(
    "fields",
    [
        {"sampling": Sampling(temperature=0.1)},
        {"sampling": Sampling(top_p=0.1)},
        {"sampling": Sampling(max_tokens=5)},
        {"batch": Batch(max_size=3)},
        {"endpoint": EndpointSpec(model_names=("other",))},
        {"resources": Resources(cpu=2.0)},
        {"resources": Resources(memory=1 << 30)},
    ],
)
def test_what_a_process_feels_restarts_it(engine: str, fields: dict[str, Any]) -> None:
    assert started(deployment(engine, **fields)).runtime_digest != started(deployment(engine)).runtime_digest


@engines
@pytest.mark.parametrize(
    "fields",
    [
        {"description": "other"},
        {"tags": ("a",)},
        {"replicas": 3},
        {"endpoint": EndpointSpec(timeout=5.0, open=True)},
        {"rollout": Rollout(healthy_deadline=4000.0)},
        {"logging": Logging(requests="metadata")},
        {"protected": True},
    ],
)
def test_what_a_process_does_not_feel_leaves_it_alone(engine: str, fields: dict[str, Any]) -> None:
    assert started(deployment(engine, **fields)).unit == started(deployment(engine)).unit


def test_a_newer_deployer_brings_another_server_and_restarts_nothing() -> None:
    old, new = started(deployment("ctranslate2")), started(deployment("ctranslate2"), serve="/opt/deployer/engines/s-2/serve.pyz")
    assert old.unit == new.unit
    assert old.text != new.text


@engines
def test_no_placeholder_is_left_and_credentials_are_named_by_the_unit(engine: str) -> None:
    written = started(deployment(engine))
    everything = written.text + "".join(content for _, content in written.files)
    assert not any(placeholder in everything for placeholder in PLACEHOLDERS)
    assert f"/run/credentials/{written.unit}/" in written.text
    assert all(path.startswith(written.directory + "/") for path, _ in written.files)
    assert "/var/lib/deployer/models/m/1" in everything


@engines
def test_the_same_deployment_gives_the_same_bytes(engine: str) -> None:
    assert started(deployment(engine)) == started(deployment(engine))


def pattern_of(process: Process, line: str) -> tuple[str, str | None]:
    """What the agent makes of a line: the first pattern that matches, its texts filled with the pattern's groups."""
    for failure in process.failures:
        if found := re.search(failure.regex, line):
            groups = found.groupdict()
            return failure.cause.format(**groups), failure.hint.format(**groups) if failure.hint else None
    return "", None


@engines
def test_every_pattern_compiles_and_its_texts_use_groups_that_always_match(engine: str) -> None:
    process = ENGINES[engine].process(deployment(engine), model(), CPU_SLOT)
    assert len(process.failures) >= 10
    for failure in process.failures:
        groups = re.compile(failure.regex).groupindex
        texts = failure.cause + (failure.hint or "")
        used = set(re.findall(r"{(\w+)}", texts))
        assert used <= set(groups)
        assert failure.hint is None or re.match(r"[a-z_0-9.]+: ", failure.hint), failure.hint
    for phase in process.phases:
        re.compile(phase.regex)


@pytest.mark.parametrize(
    ("line", "cause", "hint"),
    [
        (
            "(EngineCore pid=7) ERROR 11-20 10:00:00 [core.py:9] ValueError: To serve at least one request with the model's max "
            "seq len (16384), (2.00 GiB KV cache is needed, which is larger than the available KV cache memory (1.31 GiB). Based "
            "on the available memory, the estimated maximum model length is 10720. Try increasing",
            "the cache is too small for max_model_len 16384: 2.00 GiB needed, 1.31 there",
            "engine.vllm.max_model_len: 10720 is what the engine says fits",
        ),
        (
            "ValueError: Free memory on device cuda:0 (10.2/79.1 GiB) on startup is less than desired GPU memory",
            "another process uses the GPU: 10.2 of 79.1 GiB are free",
            "engine.vllm.gpu_memory_utilization: lower, or free the GPU first (nvidia-smi shows who holds it)",
        ),
        (
            "vllm: error: unrecognized arguments: --swap-space 4",
            "this vLLM does not know --swap-space 4",
            "engine.vllm.args: take it out, or name the version that has it",
        ),
        ("OSError: [Errno 98] Address already in use", "another process listens on the replica's port", None),
        (
            "  Value error, User-specified max_model_len (99999) is greater than the derived max_model_len "
            "(max_position_embeddings=1024.0 or model_max_length=None in model's config.json). To allow",
            "the model's context is shorter than max_model_len 99999",
            "engine.vllm.max_model_len: at most 1024",
        ),
        (
            "  Value error, Total number of attention heads (4) must be divisible by tensor parallel size (3). [type=value_error",
            "4 attention heads cannot be divided among 3 GPUs",
            "engine.vllm.tensor_parallel: a divisor of 4",
        ),
        (
            "  Value error, Unknown quantization method: bogus. Must be one of ['awq'",
            "vLLM does not know this quantization",
            None,
        ),
        (
            "  Value error, Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: dict_keys",
            "this vLLM has no implementation of ['FooForCausalLM']",
            None,
        ),
        (
            "(EngineCore pid=2) ERROR 11-21 01:05:30 [core.py:1510] safetensors._safetensors_rust.SafetensorError: Error while "
            "deserializing header: incomplete metadata, file not fully covered",
            "a weight file is damaged",
            None,
        ),
        ("RuntimeError: Cannot find any model weights with `/m`", "the model's folder holds no weights", None),
        (
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/m'.",
            "the model's folder is not there",
            None,
        ),
        ("FileNotFoundError: No such file or directory: /m/model.safetensors", "a model file is missing", None),
        ("RuntimeError: Engine core initialization failed. See root cause above.", "the engine did not start", None),
    ],
)
def test_a_vllm_failure_is_told_with_its_numbers(line: str, cause: str, hint: str | None) -> None:
    found = pattern_of(ENGINES["vllm"].process(deployment("vllm"), model(), CPU_SLOT), line)
    assert found[0].startswith(cause)
    assert hint is None or found[1] == hint


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("RuntimeError: Library libcublas.so.12 is not found or cannot be loaded", "cuBLAS for CUDA 12 is missing"),
        ("RuntimeError: CUDA failed with error out of memory", "the GPU ran out of memory"),
        ("RuntimeError: Unable to open file 'model.bin' in model '/m'", "model.bin is missing or cut off"),
        ("RuntimeError: Variable 'decoder/embeddings/weight' has an invalid payload size", "model.bin is missing or cut off"),
        (
            "serve: error: Requested float16 compute type, but the target device or backend do not support it; this cpu can:",
            "this device cannot compute in float16",
        ),
        ("Exception: No such file or directory: /m/tokenizer.json", "the tokenizer cannot be read"),
    ],
)
def test_a_ctranslate2_failure_is_told_by_its_cause(line: str, cause: str) -> None:
    assert pattern_of(ENGINES["ctranslate2"].process(deployment("ctranslate2"), model(), CPU_SLOT), line)[0] == cause
