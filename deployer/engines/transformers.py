"""Transformers: what the library's authors ship as `transformers serve`, one model, under the deployment's names. For models that
the other engines do not know; quantized to 8 or 4 bits by bitsandbytes on a GPU.

What 5.23 gets wrong without a word, and what stands in front of it for that, is said in engines.transformers_front.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from deployer.engines.base import Complaint, ConfigFile, Conversion, LogPatterns, Process, Slot
from deployer.engines.launch import placeholder_complaints
from deployer.engines.runtime import runtime_of, sampling_of
from deployer.engines.settings import (
    TORCH_CPU,
    Requirement,
    Version,
    device_complaints,
    environment,
    environment_complaints,
    wanted_gpus,
)
from deployer.engines.transformers_front import PROGRAM, SOURCE
from deployer.engines.transformers_logs import FAILURES, PHASES
from deployer.spec.models import DeploymentSpec, Model
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed

TESTED = "5.23.0"
#: The CUDA build has no local version; "===" keeps a CPU build from a folder of wheels away.
TORCH_CUDA = TORCH_CPU.replace("==", "===")
BITSANDBYTES = "bitsandbytes>=0.49,<0.51"

_DRAIN_S = 30
_START_S = 2700.0
_ENV = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    "HOME": "{cache}",
    "HF_HOME": "{cache}/huggingface",
    "TRITON_CACHE_DIR": "{cache}/triton",
    "TORCHINDUCTOR_CACHE_DIR": "{cache}/inductor",
}
_FORBIDDEN = {
    **dict.fromkeys(_ENV, "deployer sets it"),
    "PYTHONPATH": "python runs isolated here; name packages under requirements",
    "CUDA_VISIBLE_DEVICES": "use placement.gpus",
}
#: Packages that read weights which are quantized already, by what the model's config.json says.
_READERS = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
    "compressed-tensors": "compressed-tensors",
    "torchao": "torchao",
    "quanto": "optimum-quanto",
    "hqq": "hqq",
    "aqlm": "aqlm",
    "auto-round": "auto-round",
}
_GENERATES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForImageTextToText")
_SERVE = ("dtype", "attn_implementation", "quantization", "trust_remote_code", "continuous_batching", "cb_num_blocks")
_SETTINGS = ("device", *_SERVE, "cb_max_memory_percent")


class TransformersSettings(Model):
    """`engine: {transformers: {…}}`. Left out means the library's own default."""

    version: Version | None = Field(default=None, description=f"of the package transformers; left out: {TESTED}")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: GPUs when it is given some, else the CPU")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        default="auto", description="what it computes in; auto: as the model's files say"
    )
    quantization: Literal["bnb-8bit", "bnb-4bit"] | None = Field(
        default=None, description="weights made smaller while they load, by bitsandbytes on a GPU; left out: as the files are"
    )
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"] | None = Field(
        default=None, description="how attention is computed; flash_attention_2 and _3 want packages under requirements"
    )
    continuous_batching: bool = Field(
        default=False, description="many requests at once, on a GPU; sampling is then the same for all of them"
    )
    cb_num_blocks: int | None = Field(default=None, ge=1, description="blocks of the cache that continuous batching makes")
    cb_max_memory_percent: float | None = Field(
        default=None, gt=0, le=1, description="share of the GPU's memory that this cache may take"
    )
    trust_remote_code: bool = Field(default=False, description="runs Python files that the model brings; read them first")
    env: Mapping[str, str] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    exclude: tuple[Requirement, ...] = ()
    index_url: str | None = None

    @property
    def pinned(self) -> str:
        return self.version or TESTED


def settings_of(deployment: DeploymentSpec) -> TransformersSettings:
    settings = deployment.engine.settings
    assert isinstance(settings, TransformersSettings)
    return settings


class Transformers:
    name = "transformers"
    about = "nearly every architecture on CPUs and GPUs, one request at a time; 8 and 4 bits by bitsandbytes"
    Settings: type[BaseModel] = TransformersSettings
    serve = False
    log = LogPatterns(PHASES, FAILURES)

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return tuple(_complaints(deployment, settings_of(deployment), self.gpus(deployment)))

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        s, cuda = settings_of(deployment), self.gpus(deployment) > 0
        # the extra does not name requests, which its own modules import
        packages: tuple[str, ...] = (f"transformers[serving]=={s.pinned}", TORCH_CUDA if cuda else TORCH_CPU, "requests>=2.32,<3")
        kind = "transformers-cuda" if cuda else "transformers"
        if s.quantization:
            kind, packages = f"{kind}-bnb", (*packages, BITSANDBYTES)
        need = environment(f"{kind}-{s.pinned}", packages, more=s.requirements, exclude=s.exclude, index_url=s.index_url)
        return (need._replace(python=">=3.11"),)

    def gpus(self, deployment: DeploymentSpec) -> int:
        return wanted_gpus(deployment, settings_of(deployment).device)

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        # Triton, which bitsandbytes and flex_attention use on a GPU, builds its launchers on the host
        return ("gcc", "python3-dev") if self.gpus(deployment) else ()

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        return tuple(_model_complaints(settings_of(deployment), model))

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        return None

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        s = settings_of(deployment)
        runtime, sources = runtime_of(deployment, s, _SETTINGS, first={"version": s.pinned})
        config = json.dumps(_config(deployment, s, slot), indent=2, ensure_ascii=False) + "\n"
        # no temperature: with continuous batching the first request would set everybody's
        body = {"model": deployment.name, "prompt": "Hello", "max_tokens": 1}
        devices = {"CUDA_VISIBLE_DEVICES": ",".join(slot.gpus)} if slot.gpus else {}
        return Process(
            argv=("{env}/bin/python", "-I", f"{{credentials}}/{PROGRAM}", "{credentials}/config.json"),
            env={**_ENV, **devices, **s.env},
            files=(ConfigFile("config.json", config), ConfigFile(PROGRAM, SOURCE)),
            runtime=runtime,
            ready_path="/health",
            inference={"path": "/v1/completions", "body": body},
            paths=("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models"),
            start_timeout_s=max(_START_S, deployment.rollout.healthy_deadline),
            stop_timeout_s=_DRAIN_S + 15.0,
            stop_signal="SIGTERM",
            sources=sources,
        )


def _config(deployment: DeploymentSpec, s: TransformersSettings, slot: Slot) -> dict[str, Any]:
    """What the program in front reads."""
    # with one GPU "auto" could still leave layers on the CPU, which is slow and says nothing
    device = "cpu" if not slot.gpus else "cuda:0" if len(slot.gpus) == 1 else "auto"
    serve: dict[str, Any] = {"host": slot.address, "port": slot.port, "device": device}
    serve |= {name: value for name in (*_SERVE, "cb_max_memory_percent") if (value := getattr(s, name)) is not None}
    return {
        "model": "{model}",
        "view": f"{{cache}}/model-{slot.port}",  # an old one and a new one can stand side by side
        "names": [deployment.name, *deployment.endpoint.model_names],
        "at_once": deployment.batch.max_size,
        "drain_s": _DRAIN_S,
        "sampling": sampling_of(deployment),
        "serve": serve,
    }


def _complaints(deployment: DeploymentSpec, s: TransformersSettings, gpus: int) -> Iterator[Complaint]:
    here = ("engine", "transformers")
    if _older_than_known(s.pinned):
        yield Complaint((*here, "version"), f"transformers {s.pinned} is older than 5.19, the oldest deployer knows")
    yield from device_complaints(s.device, gpus)
    if s.quantization and not gpus:
        hint = "placement: {gpus: 1}; for CPUs, engine: {ctranslate2: {quantization: int8}}"
        yield Complaint((*here, "quantization"), f"{s.quantization} is bitsandbytes, which wants a GPU here", hint)
    if s.attn_implementation and s.attn_implementation.startswith("flash") and not gpus:
        yield Complaint((*here, "attn_implementation"), f"{s.attn_implementation} wants a GPU", "sdpa is what CPUs have")
    yield from _batching_complaints(deployment, s, gpus)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(deployment.sampling, name):
            yield Complaint(("sampling", name), f"transformers has no {name}", "repetition_penalty is what it has")
    yield from environment_complaints("transformers", s.env, _FORBIDDEN)
    yield from placeholder_complaints((*here, "env"), s.env)
    yield from placeholder_complaints(("endpoint", "model_names"), deployment.endpoint.model_names)
    yield from placeholder_complaints(("sampling", "stop"), deployment.sampling.stop)


def _batching_complaints(deployment: DeploymentSpec, s: TransformersSettings, gpus: int) -> Iterator[Complaint]:
    here = ("engine", "transformers")
    if s.continuous_batching and not gpus:
        what = "on a CPU its cache takes most of the host's memory"
        yield Complaint((*here, "continuous_batching"), what, "engine: {ctranslate2: {}} or {vllm: {variant: cpu}} batch on CPUs")
    if s.continuous_batching and deployment.sampling.stop:
        yield Complaint(("sampling", "stop"), "continuous batching of transformers does not look for stop strings")
    for name in ("cb_num_blocks", "cb_max_memory_percent"):
        if getattr(s, name) is not None and not s.continuous_batching:
            yield Complaint((*here, name), f"{name} is of continuous batching, which is off", "continuous_batching: true")
    if deployment.batch.max_wait is not None:
        yield Complaint(("batch", "max_wait"), "transformers serve never waits for more requests", "leave it out")


def _older_than_known(version: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < (5, 19)


def _model_complaints(s: TransformersSettings, model: LockedModel) -> Iterator[Complaint]:
    names, facts = [f.path for f in model.files], model.facts
    if names and "config.json" not in names:
        hint = "engine: {llamacpp: {}} serves GGUF" if any(n.endswith(".gguf") for n in names) else None
        yield Complaint(("model",), f"transformers cannot serve {model.name}: it has no config.json", hint)
    if "model.bin" in names:
        yield Complaint(("model",), f"{model.name} is converted for CTranslate2", "name the repository with the original weights")
    if facts.architectures and not any(a.endswith(_GENERATES) for a in facts.architectures):
        yield Complaint(("model",), f"{', '.join(facts.architectures)} does not generate text, and this server does nothing else")
    if facts.quantization and s.quantization:
        what = f"the weights are quantized with {facts.quantization} already"
        yield Complaint(("engine", "transformers", "quantization"), what, "leave it out")
    reader = _READERS.get(facts.quantization or "")
    if reader and not s.quantization and not any(r.replace("_", "-").startswith(reader) for r in s.requirements):
        what = f"weights quantized with {facts.quantization} are read by the package {reader}"
        yield Complaint(("engine", "transformers", "requirements"), what, f"requirements: [{reader}]")


TRANSFORMERS = Transformers()
