"""CTranslate2: converts a model on the host and serves it with our own server (deployer/serve), which is one archive.

Facts of 4.8.5 that shape this file: it falls back to another compute type, accepts a prompt of any length and forgets the
chat template in a conversion, all without a word. So: refuse, tell the server the limit, copy the files.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from pydantic import BaseModel

from deployer.engines.base import Complaint, ConfigFile, Conversion, LogPatterns, Process, Slot
from deployer.engines.ctranslate2_kinds import (
    ROUTES,
    converted,
    flat_files,
    inference,
    kind_complaints,
    kind_of,
    model_complaints,
    more_config,
    nested_files,
)
from deployer.engines.ctranslate2_logs import FAILURES, PHASES
from deployer.engines.ctranslate2_settings import CTranslate2Settings, settings_of
from deployer.engines.launch import placeholder_complaints
from deployer.engines.runtime import runtime_of, sampling_of
from deployer.engines.settings import TORCH_CPU, device_complaints, environment, environment_complaints, wanted_gpus
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed
from deployer.state.resources import Scalar

SERVER = (
    *("tokenizers>=0.22,<0.24", "starlette>=0.50,<2", "uvicorn>=0.38,<1", "jinja2>=3.1,<4"),
    *("python-multipart>=0.0.20,<1", "sentencepiece>=0.2,<0.3"),  # speech comes as a form; Marian brings its tokenizer that way
)
CONVERTER = (TORCH_CPU, "transformers>=5,<6", "safetensors>=0.6,<1", "sentencepiece>=0.2,<0.3")
#: CTranslate2's wheels are built for CUDA 12 and load cuBLAS at run time.
CUBLAS = "nvidia-cublas-cu12>=12.8,<13"

#: docs/decisions/0028
NO_SCHEMA = Complaint(
    ("engine",),
    "ctranslate2 refuses requests for structured output (response_format with JSON, structured_outputs, guided_*) with a 400",
    "vllm and llamacpp keep an answer to a schema",
)

_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int16": 2.0}  # a weight; int8 brings scales
_CPU_TYPES = ("auto", "default", "float32", "int8", "int8_float32", "int16")
_ENV = {"PYTHONUNBUFFERED": "1", "HOME": "{cache}"}
_FORBIDDEN = {
    **dict.fromkeys(_ENV, "deployer sets it"),
    "CUDA_VISIBLE_DEVICES": "use placement.gpus",
    "LD_LIBRARY_PATH": "deployer sets it",
}
_PYTHONS = range(10, 16)
#: Of models that generate text: how clients count tokens.
_TOKENS = ("/tokenize", "/detokenize", "/tokenizer_info")
#: Python, torch and transformers once they are loaded; docs/ctranslate2.md has the measurement. Each weight is let go once it is
#: quantized, so source and result are not there whole at the same time. Bytes.
MEMORY_BASE = 450 << 20
_STOP_S = 30
_START_S = 600.0


class CTranslate2:
    name = "ctranslate2"
    about = "small footprint, starts in seconds, good on CPUs and one small GPU; converts the model once, int8 and more"
    Settings: type[BaseModel] = CTranslate2Settings
    serve = True
    log = LogPatterns(PHASES, FAILURES)

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return tuple(_complaints(deployment, settings_of(deployment), self.gpus(deployment)))

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        s = settings_of(deployment)
        package = f"ctranslate2=={s.pinned}"
        cuda = (CUBLAS,) if self.gpus(deployment) else ()
        base = f"ctranslate2-cuda-{s.pinned}" if cuda else f"ctranslate2-{s.pinned}"
        serving = environment(base, (package, *SERVER, *cuda), more=s.requirements, exclude=s.exclude, index_url=s.index_url)
        return serving, environment(f"ctranslate2-convert-{s.pinned}", (package, *CONVERTER))

    def gpus(self, deployment: DeploymentSpec) -> int:
        return wanted_gpus(deployment, settings_of(deployment).device)

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        return ()

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        return tuple(_model_complaints(deployment, settings_of(deployment), model, self.gpus(deployment)))

    def lacks(self, deployment: DeploymentSpec, model: LockedModel | None) -> Sequence[Complaint]:
        return (NO_SCHEMA,) if kind_of(settings_of(deployment), model) == "generator" else ()

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        if converted(model):
            return None
        s = settings_of(deployment)
        kind = kind_of(s, model)
        copied, nested = flat_files(kind, model), nested_files(kind, model)
        argv = ["{env}/bin/ct2-transformers-converter", "--model", "{source}", "--output_dir", "{target}", "--low_cpu_mem_usage"]
        argv += ["--quantization", s.quantization] if s.quantization else []
        argv += ["--copy_files", *copied] if copied else []
        quantization = s.quantization or "as it is"
        inputs: dict[str, Scalar] = {"quantization": s.quantization, "version": s.pinned, "copied": " ".join([*copied, *nested])}
        share = _share(model, s.quantization)
        return Conversion(
            f"ctranslate2-convert-{s.pinned}",
            tuple(argv),
            quantization,
            inputs,
            share,
            max(1.0, share) + 0.25,
            MEMORY_BASE,
            tuple(nested),
        )

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        s = settings_of(deployment)
        names = (*_SETTINGS, "kind") if s.kind != "auto" else _SETTINGS
        runtime, sources = runtime_of(deployment, s, names, first={"version": s.pinned})
        kind = kind_of(s, model)
        return Process(
            argv=("{env}/bin/python", "-I", "{serve}", "--config", "{credentials}/config.json"),
            env={**_ENV, **_gpu_env(slot), **s.env},
            files=(
                ConfigFile("config.json", json.dumps(_config(deployment, s, model, slot), indent=2, ensure_ascii=False) + "\n"),
            ),
            runtime=runtime,
            ready_path="/health",
            inference=inference(deployment.name, kind),
            paths=(*ROUTES[kind], *(_TOKENS if kind == "generator" else ()), "/v1/models"),
            start_timeout_s=max(_START_S, deployment.rollout.healthy_deadline),
            stop_timeout_s=_STOP_S + 15.0,
            stop_signal="SIGINT",
            sources=sources,
        )


def _gpu_env(slot: Slot) -> Mapping[str, str]:
    if not slot.gpus:
        return {}
    # CTranslate2 opens cuBLAS by its name only; which Python the host has is not known here
    folders = (f"{{env}}/lib/python3.{minor}/site-packages/nvidia/cublas/lib" for minor in _PYTHONS)
    return {"CUDA_VISIBLE_DEVICES": ",".join(slot.gpus), "LD_LIBRARY_PATH": ":".join(folders)}


def _config(deployment: DeploymentSpec, s: CTranslate2Settings, model: LockedModel | None, slot: Slot) -> dict[str, Any]:
    """What deployer/serve reads: this is the contract between the two."""
    kind = kind_of(s, model)
    return {
        "model_dir": "{model}",
        "model_names": [deployment.name, *deployment.endpoint.model_names],
        "host": slot.address,
        "port": slot.port,
        "device": "cuda" if slot.gpus else "cpu",
        "device_index": list(range(len(slot.gpus))) or [0],
        "compute_type": s.compute_type,
        "inter_threads": s.inter_threads,
        "intra_threads": s.intra_threads,
        **more_config(s, kind, model),
        "max_batch_size": deployment.batch.max_size or 16,
        "max_wait_ms": 100.0 if deployment.batch.max_wait is None else deployment.batch.max_wait * 1000,
        "max_queue": s.max_queue,
        "log_requests": False,  # the gateway does, as `logging` says
        "sampling": sampling_of(deployment),
        "shutdown_timeout_s": _STOP_S,
    }


_SETTINGS = (
    *("quantization", "compute_type", "device", "inter_threads", "intra_threads", "max_model_len", "max_queue"),
    *("pooling", "normalize", "source_language", "target_language"),
)


def _complaints(deployment: DeploymentSpec, s: CTranslate2Settings, gpus: int) -> Iterator[Complaint]:
    here = ("engine", "ctranslate2")
    yield from device_complaints(s.device, gpus)
    if not gpus and s.compute_type not in _CPU_TYPES:
        what = f"a CPU cannot compute in {s.compute_type}: CTranslate2 would take another type without a word"
        yield Complaint((*here, "compute_type"), what, f"one of {', '.join(_CPU_TYPES)}")
    yield from kind_complaints(s, deployment)
    if deployment.sampling.min_p is not None:
        yield Complaint(("sampling", "min_p"), "CTranslate2 has no min_p")
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(deployment.sampling, name):
            yield Complaint(("sampling", name), f"CTranslate2 has no {name}", "repetition_penalty is what it has")
    yield from environment_complaints("ctranslate2", s.env, _FORBIDDEN)
    yield from placeholder_complaints((*here, "env"), s.env)
    yield from placeholder_complaints(("endpoint", "model_names"), deployment.endpoint.model_names)
    yield from placeholder_complaints(("sampling", "stop"), deployment.sampling.stop)


def _share(model: LockedModel, quantization: str | None) -> float:
    """Size of the result as a share of the source's; int8 brings one scale a row."""
    source = _BYTES.get(model.facts.dtype or "", 2.0)
    target = source if quantization is None else _BYTES.get(quantization, 1.05)
    return target / source


def _model_complaints(deployment: DeploymentSpec, s: CTranslate2Settings, model: LockedModel, gpus: int) -> Iterator[Complaint]:
    here = ("engine", "ctranslate2")
    names = {f.path for f in model.files}
    if "tokenizer.json" not in names and not _sentencepiece(names):
        hint = "AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one"
        yield Complaint(("model",), f"{model.name} has no tokenizer.json, which the server reads", hint)
    facts = model.facts
    yield from model_complaints(s, deployment, model)
    if s.max_model_len is not None and facts.context is not None and s.max_model_len > facts.context:
        what = f"max_model_len {s.max_model_len} is more than the model's context of {facts.context} tokens"
        yield Complaint((*here, "max_model_len"), what, f"at most {facts.context}")
    if facts.quantization is None or converted(model):
        return
    if facts.quantization != "awq":
        what = f"the converter cannot read weights quantized with {facts.quantization}"
        yield Complaint(("model",), what, "name the repository with the full weights")
    elif s.quantization is not None:
        what = "the model's weights are quantized already, with AWQ"
        yield Complaint((*here, "quantization"), what, "leave it out, or name the repository with the full weights")
    elif not gpus:
        what = "CTranslate2 computes with AWQ's weights of 4 bits on NVIDIA GPUs only"
        yield Complaint(("model",), what, "placement: {gpus: 1}, or the repository with the full weights and quantization: int8")


def _sentencepiece(names: Set[str]) -> bool:
    """Marian's tokenizers, which the server reads as they are."""
    return {"source.spm", "target.spm"} <= names


CTRANSLATE2 = CTranslate2()
