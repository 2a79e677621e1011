"""What holds for every engine: purity of a start, a cause for each restart, failures that are told apart."""

import re
from typing import Any

import pytest
from pydantic import BaseModel

from deployer.engines import ENGINES, settings_models
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
    "llamacpp": {
        "version": "11435",
        "program": "/usr/local/bin/llama-server",
        "device": "cuda",
        "max_model_len": 512,
        "threads": 2,
        "gpu_layers": 7,
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "flash_attn": "on",
        "env": {"A": "1"},
    },
    "ollama": {
        "program": "/usr/bin/ollama",
        "device": "cuda",
        "max_model_len": 512,
        "keep_alive": 300.0,
        "max_queue": 8,
        "kv_cache_type": "q8_0",
        "flash_attention": True,
        "partly_on_cpu": True,
        "template": "{{ .Prompt }}",
        "system": "Be brief.",
        "env": {"A": "1"},
    },
    "transformers": {
        "version": "5.22.2",
        "device": "cuda",
        "dtype": "float32",
        "quantization": "bnb-4bit",
        "attn_implementation": "sdpa",
        "continuous_batching": True,
        "cb_num_blocks": 64,
        "cb_max_memory_percent": 0.5,
        "trust_remote_code": True,
        "env": {"A": "1"},
    },
    "predictor": {"paths": ("/v1/other",), "probe": {"inputs": [2]}, "threads": 4},
    "ctranslate2": {
        "version": "4.9.0",
        "quantization": "int8",
        "compute_type": "int8",
        "device": "cpu",
        "inter_threads": 2,
        "intra_threads": 2,
        "max_model_len": 1024,
        "max_queue": 8,
        "kind": "encoder",
        "pooling": "cls",
        "normalize": False,
        "source_language": "en",
        "target_language": "de",
        "env": {"A": "1"},
    },
}
HANDLER = {
    "handler": "/opt/deployer/engines/h-1/handler.pyz",
    "handler_env": "/opt/deployer/engines/he-1",
    "handler_scripts": "/var/lib/deployer/models/scripts--chat/1",
    "handler_revision": "3",
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
    return launch(
        process, spec, CPU_SLOT, fleet="acme", fleet_id="7f3a9c21", identity=("e-1", "m-1"), paths={**places, **HANDLER, **paths}
    )


def test_the_settings_of_each_engine_are_offered_to_the_spec() -> None:
    assert set(settings_models()) == set(ENGINES) == set(OTHER)
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
    assert f"/run/credentials/{written.unit}/" in written.text or engine == "llamacpp"  # all that it is told are arguments
    assert all(path.startswith(written.directory + "/") for path, _ in written.files)
    assert "/var/lib/deployer/models/m/1" in everything or engine == "predictor"  # its file is engines.front's matter


@engines
def test_the_same_deployment_gives_the_same_bytes(engine: str) -> None:
    assert started(deployment(engine)) == started(deployment(engine))


@engines
def test_every_pattern_compiles_and_its_texts_use_groups_that_always_match(engine: str) -> None:
    log = ENGINES[engine].log
    assert len(log.failures) >= 10
    for failure in log.failures:
        groups = re.compile(failure.regex).groupindex
        texts = failure.cause + (failure.hint or "")
        used = {name for names in re.findall(r"{(\w+(?:/\w+)?)}", texts) for name in names.split("/")}
        assert used <= set(groups)
        assert failure.hint is None or re.match(r"[a-z_0-9.]+: ", failure.hint), failure.hint
    for phase in log.phases:
        re.compile(phase.regex)
