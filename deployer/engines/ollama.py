"""Ollama: the host's program, started for one deployment with a store of its own, in which the model is made from a GGUF file.

How its API and its OpenAI routes behave is taken from its documentation and source (docs/api.md, openai/openai.go, envconfig): a
request without a temperature gets 1 and without top_p gets 1, whatever the model says, so defaults of these cannot be held.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from deployer.engines.base import Complaint, ConfigFile, Conversion, LogPatterns, Process, Slot
from deployer.engines.launch import placeholder_complaints
from deployer.engines.llamacpp import Program, file_complaints, gguf_complaints, gguf_file
from deployer.engines.ollama_front import PROGRAM, SOURCE
from deployer.engines.ollama_logs import FAILURES, PHASES
from deployer.engines.runtime import runtime_of, sampling_of
from deployer.engines.settings import device_complaints, environment_complaints, wanted_gpus
from deployer.spec.fields import Duration
from deployer.spec.models import DeploymentSpec, Model
from deployer.state.canonical import digest
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed

_PYTHON = "/usr/bin/python3"
PARALLEL = 4
_START_S = 1800.0
_DRAIN_S = 30
#: What can be a default of the model, by Ollama's name.
_PARAMETERS = {
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "seed": "seed",
    "max_tokens": "num_predict",
    "stop": "stop",
}
_OVERRIDDEN = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*(:[A-Za-z0-9][A-Za-z0-9._-]*)?")
_ENV = (
    *("HOME", "OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_KEEP_ALIVE", "OLLAMA_NUM_PARALLEL", "OLLAMA_MAX_LOADED_MODELS"),
    *("OLLAMA_MAX_QUEUE", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_FLASH_ATTENTION", "OLLAMA_NO_CLOUD"),
)
_FORBIDDEN = {**dict.fromkeys(_ENV, "deployer sets it"), "CUDA_VISIBLE_DEVICES": "use placement.gpus"}
_SETTINGS = (
    *("program", "device", "max_model_len", "keep_alive", "max_queue", "kv_cache_type", "flash_attention"),
    *("partly_on_cpu", "template", "system"),
)


class OllamaSettings(Model):
    """`engine: {ollama: {…}}`. Left out means Ollama's own default."""

    program: Program = Field(default="/usr/local/bin/ollama", description="where the hosts have it; deployer does not bring it")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: GPUs when it is given some, else the CPU")
    max_model_len: int | None = Field(default=None, ge=1, description="tokens of prompt and answer together, for each request")
    keep_alive: Duration | None = Field(
        default=None, description="how long the model stays loaded without a request; left out: for ever"
    )
    max_queue: int = Field(default=512, ge=1, description="requests that may wait; more are refused with 503")
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = Field(default=None, description="q8_0 halves the cache")
    flash_attention: bool | None = None
    partly_on_cpu: bool = Field(default=False, description="start also when the GPU does not hold the whole model")
    template: str | None = Field(default=None, min_length=1, description="a chat template in Ollama's form; left out: the file's")
    system: str | None = Field(default=None, min_length=1, description="a system prompt for chats that have none")
    env: Mapping[str, str] = Field(default_factory=dict)


def settings_of(deployment: DeploymentSpec) -> OllamaSettings:
    settings = deployment.engine.settings
    assert isinstance(settings, OllamaSettings)
    return settings


class Ollama:
    name = "ollama"
    about = "a GGUF file served by the Ollama that the hosts have, for who knows it; llamacpp is the same without it"
    Settings: type[BaseModel] = OllamaSettings
    serve = False
    log = LogPatterns(PHASES, FAILURES)
    file_suffix = ".gguf"

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return tuple(_complaints(deployment, settings_of(deployment), self.gpus(deployment)))

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        return ()

    def programs(self, deployment: DeploymentSpec) -> Sequence[str]:
        return (settings_of(deployment).program,)

    def gpus(self, deployment: DeploymentSpec) -> int:
        return wanted_gpus(deployment, settings_of(deployment).device)

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        return ()

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        return tuple(_model_complaints(deployment, model))

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        return None

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        s = settings_of(deployment)
        runtime, sources = runtime_of(deployment, s, _SETTINGS, first={})
        config = _config(deployment, s, model, slot)
        body = {"model": deployment.name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        return Process(
            argv=(_PYTHON, "-I", f"{{credentials}}/{PROGRAM}", "{credentials}/config.json"),
            env={**_environment(deployment, s, slot), **s.env},
            files=(
                ConfigFile("config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n"),
                ConfigFile(PROGRAM, SOURCE),
            ),
            runtime=runtime,
            ready_path=f"/v1/models/{config['marker']}",
            inference={"path": "/v1/completions", "body": body},
            paths=("/v1/chat/completions", "/v1/completions", "/v1/models"),
            start_timeout_s=max(_START_S, deployment.rollout.healthy_deadline),
            stop_timeout_s=_DRAIN_S,
            stop_signal="SIGTERM",
            sources=sources,
        )


def _environment(deployment: DeploymentSpec, s: OllamaSettings, slot: Slot) -> dict[str, str]:
    found = {
        "HOME": "{cache}",
        "OLLAMA_HOST": f"{slot.address}:{slot.port}",
        # an old one and a new one can stand side by side, and each owns its store
        "OLLAMA_MODELS": f"{{cache}}/models-{slot.port}",
        "OLLAMA_KEEP_ALIVE": _keep_alive(s),
        "OLLAMA_NUM_PARALLEL": str(deployment.batch.max_size or PARALLEL),
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_MAX_QUEUE": str(s.max_queue),
        "OLLAMA_NO_CLOUD": "1",
        "CUDA_VISIBLE_DEVICES": ",".join(slot.gpus) or "-1",
    }
    found |= {"OLLAMA_CONTEXT_LENGTH": str(s.max_model_len)} if s.max_model_len is not None else {}
    found |= {"OLLAMA_KV_CACHE_TYPE": s.kv_cache_type} if s.kv_cache_type is not None else {}
    return found | ({"OLLAMA_FLASH_ATTENTION": str(int(s.flash_attention))} if s.flash_attention is not None else {})


def _keep_alive(s: OllamaSettings) -> str:
    return "-1" if s.keep_alive is None else f"{s.keep_alive:g}s"


def _config(deployment: DeploymentSpec, s: OllamaSettings, model: LockedModel | None, slot: Slot) -> dict[str, Any]:
    """What the program in front reads."""
    said = sampling_of(deployment)
    parameters = {theirs: said[ours] for ours, theirs in _PARAMETERS.items() if ours in said}
    if parameters.get("top_k", 0) < 0:
        parameters["top_k"] = 0
    parameters |= {"num_ctx": s.max_model_len} if s.max_model_len is not None else {}
    create: dict[str, Any] = {"parameters": parameters} if parameters else {}
    create |= {name: value for name in ("template", "system") if (value := getattr(s, name)) is not None}
    file = gguf_file(deployment, model)
    made = digest([file, model.digest if model else None, create, deployment.name, deployment.endpoint.model_names], 12)
    return {
        "program": s.program,
        "host": slot.address,
        "port": slot.port,
        "file": f"{{model}}/{file}",
        "names": [deployment.name, *deployment.endpoint.model_names],
        "marker": f"deployer-{made}",
        "create": create,
        "keep_alive": -1 if s.keep_alive is None else _keep_alive(s),
        "whole": bool(slot.gpus) and not s.partly_on_cpu,
    }


def _complaints(deployment: DeploymentSpec, s: OllamaSettings, gpus: int) -> Iterator[Complaint]:
    here = ("engine", "ollama")
    yield from device_complaints(s.device, gpus)
    yield from file_complaints(deployment)
    for name in _OVERRIDDEN:
        if getattr(deployment.sampling, name) is not None:
            what = f"a request that says no {name} gets Ollama's own, whatever the model says"
            yield Complaint(("sampling", name), what, "say it in the requests, or use engine: {llamacpp: {}}")
    if s.kv_cache_type not in (None, "f16") and s.flash_attention is False:
        yield Complaint((*here, "kv_cache_type"), f"a cache of {s.kv_cache_type} wants flash attention", "flash_attention: true")
    if s.partly_on_cpu and not gpus:
        yield Complaint((*here, "partly_on_cpu"), "it runs on the CPU altogether", "leave it out")
    if deployment.batch.max_wait is not None:
        yield Complaint(("batch", "max_wait"), "Ollama batches continuously and never waits", "leave it out")
    for number, name in enumerate(deployment.endpoint.model_names):
        if not _NAME.fullmatch(name):
            yield Complaint(("endpoint", "model_names", number), f"Ollama cannot name a model {name!r}")
    yield from environment_complaints("ollama", s.env, _FORBIDDEN)
    for path, value in (("env", s.env), ("program", s.program), ("template", s.template), ("system", s.system)):
        yield from placeholder_complaints((*here, path), value)
    yield from placeholder_complaints(("sampling", "stop"), deployment.sampling.stop)


def _model_complaints(deployment: DeploymentSpec, model: LockedModel) -> Iterator[Complaint]:
    yield from gguf_complaints(deployment, model, settings_of(deployment).max_model_len)
    if "-of-0" in gguf_file(deployment, model):
        yield Complaint(("model",), "Ollama makes no model of a file in several parts", "join them: llama-gguf-split --merge")


OLLAMA = Ollama()
