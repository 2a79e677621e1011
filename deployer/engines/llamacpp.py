"""llama.cpp: serves one GGUF file with its own server, which batches continuously. The server is a program without Python: either
the wheel that `script/llama-server` builds from the pinned sources, or one that is on the host already (`program`).

What build 11434 does that shapes this file: a context is divided among the slots unless it is unified; backslashes in a stop
string are read as escapes; what does not fit on a GPU, or finds none, is computed on the CPU with a warning at most.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from deployer.engines.base import Complaint, Conversion, LogPatterns, Process, Slot
from deployer.engines.launch import placeholder_complaints
from deployer.engines.llamacpp_logs import FAILURES, FIGURES, PHASES
from deployer.engines.runtime import runtime_of
from deployer.engines.settings import device_complaints, environment, environment_complaints, wanted_gpus
from deployer.spec.models import DeploymentSpec, Model
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed

TESTED = "11434"
#: The wheel of script/llama-server. A version with a local part can be on no public index, so none can bring another one.
WHEEL = "deployer-llama-server"
SLOTS = 4  # requests at once when batch.max_size is not said
_START_S = 1800.0
_DRAIN_S = 30

Build = Annotated[str, StringConstraints(pattern=r"^[0-9]{4,6}$")]
#: systemd expands and unquotes nothing in the first word of a command.
Program = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_@+=:,./-]+$")]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

_ENV = {"HOME": "{cache}", "LLAMA_CACHE": "{cache}"}
_FORBIDDEN = {
    **dict.fromkeys(_ENV, "deployer sets it"),
    "CUDA_VISIBLE_DEVICES": "use placement.gpus",
    "LLAMA_API_KEY": "use endpoint.keys",
}
_SAMPLING = {
    "temperature": "--temp",
    "top_p": "--top-p",
    "top_k": "--top-k",
    "min_p": "--min-p",
    "repetition_penalty": "--repeat-penalty",
    "presence_penalty": "--presence-penalty",
    "frequency_penalty": "--frequency-penalty",
    "seed": "--seed",
    "max_tokens": "--predict",
}
_OPTIONS = {
    "threads": "--threads",
    "cache_type_k": "--cache-type-k",
    "cache_type_v": "--cache-type-v",
    "flash_attn": "--flash-attn",
}
_SETTINGS = ("program", "device", "max_model_len", "gpu_layers", *_OPTIONS)


class LlamaCppSettings(Model):
    """`engine: {llamacpp: {…}}`. Left out means llama.cpp's own default."""

    version: Build | None = Field(
        default=None, description=f"llama.cpp's build number, of script/llama-server; left out: {TESTED}"
    )
    program: Program | None = Field(
        default=None, description="a llama-server that is on the hosts already; left out: the one that script/llama-server builds"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: GPUs when it is given some, else the CPU")
    max_model_len: int | None = Field(
        default=None, ge=1, description="tokens of prompt and answer together; left out: the model's context, which all share"
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; left out: as many as there are cores")
    gpu_layers: int | None = Field(default=None, ge=0, description="layers on the GPU; left out: all, or it does not start")
    cache_type_k: CacheType | None = Field(default=None, description="how keys are cached; q8_0 halves them")
    cache_type_v: CacheType | None = Field(default=None, description="how values are cached; less than f16 wants flash_attn")
    flash_attn: Literal["on", "off", "auto"] | None = None
    env: Mapping[str, str] = Field(default_factory=dict)
    index_url: str | None = None

    @property
    def pinned(self) -> str:
        return self.version or TESTED


def settings_of(deployment: DeploymentSpec) -> LlamaCppSettings:
    settings = deployment.engine.settings
    assert isinstance(settings, LlamaCppSettings)
    return settings


class LlamaCpp:
    name = "llamacpp"
    about = "one GGUF file, small and quick to start, on CPUs and GPUs; batches continuously"
    Settings: type[BaseModel] = LlamaCppSettings
    serve = False
    log = LogPatterns(PHASES, FAILURES, FIGURES)
    file_suffix = ".gguf"

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return tuple(_complaints(deployment, settings_of(deployment), self.gpus(deployment)))

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        s = settings_of(deployment)
        if s.program is not None:
            return ()
        kind = "cuda" if self.gpus(deployment) else "cpu"
        return (environment(f"llamacpp-{kind}-{s.pinned}", (f"{WHEEL}=={s.pinned}+{kind}",), index_url=s.index_url),)

    def programs(self, deployment: DeploymentSpec) -> Sequence[str]:
        program = settings_of(deployment).program
        return () if program is None else (program,)

    def gpus(self, deployment: DeploymentSpec) -> int:
        return wanted_gpus(deployment, settings_of(deployment).device)

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        return ()

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        return tuple(gguf_complaints(deployment, model, settings_of(deployment).max_model_len))

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        return None

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        s = settings_of(deployment)
        runtime, sources = runtime_of(deployment, s, _SETTINGS, first={"version": s.pinned})
        body = {"model": deployment.name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        devices = {"CUDA_VISIBLE_DEVICES": ",".join(slot.gpus)} if slot.gpus else {}
        return Process(
            argv=(s.program or "{env}/bin/llama-server", *_arguments(deployment, s, model, slot)),
            env={**_ENV, **devices, **s.env},
            files=(),
            runtime=runtime,
            ready_path="/health",
            inference={"path": "/v1/completions", "body": body},
            paths=("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models"),
            start_timeout_s=max(_START_S, deployment.rollout.healthy_deadline),
            stop_timeout_s=_DRAIN_S,
            stop_signal="SIGTERM",
            sources=sources,
        )


def _arguments(deployment: DeploymentSpec, s: LlamaCppSettings, model: LockedModel | None, slot: Slot) -> Iterator[str]:
    """No secret is among them; the unit quotes each."""
    slots = deployment.batch.max_size or SLOTS
    yield from ("--model", f"{{model}}/{gguf_file(deployment, model)}", "--host", slot.address, "--port", str(slot.port))
    yield from ("--alias", ",".join((deployment.name, *deployment.endpoint.model_names)))
    yield from ("--parallel", str(slots), "--metrics", "--offline", "--no-webui", "--no-escape", "--log-colors", "off")
    yield from ("--cors-origins", "localhost")
    if s.max_model_len is None:
        yield from ("--ctx-size", "0", "--kv-unified")
    else:
        yield from ("--ctx-size", str(s.max_model_len * slots), "--no-kv-unified")
    if slot.gpus:
        # by name: a build without CUDA would warn and compute on the CPU
        yield from ("--device", ",".join(f"CUDA{number}" for number in range(len(slot.gpus))), "--fit", "off")
        yield from ("--gpu-layers", "999" if s.gpu_layers is None else str(s.gpu_layers))
    else:
        yield from ("--device", "none")
    for name, option in _OPTIONS.items():
        if (value := getattr(s, name)) is not None:
            yield from (option, str(value))
    sampling = deployment.sampling
    for name, option in _SAMPLING.items():
        if (value := getattr(sampling, name)) is not None:
            yield from (option, str(max(0, value) if name == "top_k" else value))
    for stop in sampling.stop:
        yield from ("--reverse-prompt", stop)


def gguf_file(deployment: DeploymentSpec, model: LockedModel | None) -> str:
    """The file that is named, else the only one (check_model wants one), of several parts the first."""
    if deployment.model.file is not None:
        return deployment.model.file
    return next((f.path for f in model.files if f.path.endswith(".gguf")), "model.gguf") if model else "model.gguf"


def _complaints(deployment: DeploymentSpec, s: LlamaCppSettings, gpus: int) -> Iterator[Complaint]:
    here = ("engine", "llamacpp")
    yield from device_complaints(s.device, gpus)
    if s.program is not None and s.version is not None:
        yield Complaint((*here, "version"), "version is of the server that deployer brings, and program names another one")
    if s.gpu_layers is not None and not gpus:
        yield Complaint((*here, "gpu_layers"), "it runs on the CPU, where no layer is on a GPU", "placement: {gpus: 1}")
    if s.cache_type_v not in (None, "f32", "f16", "bf16") and s.flash_attn == "off":
        yield Complaint((*here, "cache_type_v"), f"values of {s.cache_type_v} want flash attention", "flash_attn: on")
    if deployment.batch.max_wait is not None:
        yield Complaint(("batch", "max_wait"), "llama.cpp batches continuously and never waits", "leave it out")
    yield from environment_complaints("llamacpp", s.env, _FORBIDDEN)
    yield from _text_complaints(deployment, s)


def _text_complaints(deployment: DeploymentSpec, s: LlamaCppSettings) -> Iterator[Complaint]:
    here = ("engine", "llamacpp")
    yield from file_complaints(deployment)
    for number, name in enumerate(deployment.endpoint.model_names):
        if "," in name:
            yield Complaint(("endpoint", "model_names", number), "llama.cpp reads a comma as the end of a name")
    for number, stop in enumerate(deployment.sampling.stop):
        if any((ord(c) < 0x20 and c not in "\n\t") or ord(c) == 0x7F for c in stop):
            yield Complaint(("sampling", "stop", number), "it holds a control character, which systemd drops")
    yield from placeholder_complaints((*here, "env"), s.env)
    yield from placeholder_complaints((*here, "program"), s.program)
    yield from placeholder_complaints(("endpoint", "model_names"), deployment.endpoint.model_names)
    yield from placeholder_complaints(("sampling", "stop"), deployment.sampling.stop)


def file_complaints(deployment: DeploymentSpec) -> Iterator[Complaint]:
    """What is wrong with `model.file` itself."""
    if deployment.model.host_path is not None and deployment.model.file is None:
        yield Complaint(("model",), "which file of the folder is it?", "model: {host_path: …, file: NAME.gguf}")
    if ".." in (deployment.model.file or "").split("/"):
        yield Complaint(("model", "file"), "the file must be inside the model")
    yield from placeholder_complaints(("model", "file"), deployment.model.file)


def gguf_complaints(deployment: DeploymentSpec, model: LockedModel, max_model_len: int | None) -> Iterator[Complaint]:
    """What is wrong with a model for an engine that serves one GGUF file."""
    files = [f.path for f in model.files if f.path.endswith(".gguf")]
    if not files:
        hint = "name a repository with GGUF files, or make one with llama.cpp's convert_hf_to_gguf.py"
        yield Complaint(("model",), f"{model.name} holds no GGUF file, which is all that this engine reads", hint)
    elif deployment.model.file is None and len({f.rpartition("-of-")[2] if "-of-" in f else f for f in files}) > 1:
        yield Complaint(("model",), f"{model.name} holds {len(files)} GGUF files", f"model: {{…, file: {files[0]}}}")
    context = model.facts.context
    if max_model_len is not None and context is not None and max_model_len > context:
        what = f"max_model_len {max_model_len} is more than the model's context of {context} tokens"
        yield Complaint(("engine", deployment.engine.name, "max_model_len"), what, f"at most {context}")


LLAMACPP = LlamaCpp()
