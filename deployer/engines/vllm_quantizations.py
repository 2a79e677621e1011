"""The quantizations of vLLM, and what each needs. Called by engines.vllm.

From vLLM 0.32.0's source: the methods of model_executor/layers/quantization/__init__.py with `get_min_capability` of the class
that each leads to, the on-the-fly ones of config/quantization.py (_ONLINE_SHORTHANDS). A GPU's capability is written 75 for 7.5.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deployer.engines.base import Complaint
from deployer.engines.vllm_flags import KNOWN, number
from deployer.engines.vllm_settings import VllmSettings
from deployer.state.locked import LockedModel

SINCE = (0, 32)  # an older vLLM may have what this one has no more
BFLOAT16 = 80  # platforms/cuda.py: check_if_supports_dtype


@dataclass(frozen=True, slots=True)
class Method:
    """`least`: the capability it needs. `family`: what a checkpoint calls it; None: it is done while an unquantized model loads.
    `files`: where a checkpoint may say it instead of config.json (get_config_filenames).
    """

    least: int
    family: str | None = None
    files: tuple[str, ...] = ()


_AWQ = Method(75, "awq", ("quant_config.json", "quantize_config.json"))
_GPTQ = Method(60, "gptq", ("quantize_config.json",))

METHODS: Mapping[str, Method] = {
    **dict.fromkeys(("awq", "auto_awq", "awq_marlin"), _AWQ),
    **dict.fromkeys(("gptq", "auto_gptq", "gptq_marlin"), _GPTQ),
    "fp8": Method(75, "fp8"),
    "fbgemm_fp8": Method(80, "fbgemm_fp8"),
    "fp_quant": Method(100, "fp_quant"),
    "modelopt": Method(80, "modelopt", ("hf_quant_config.json",)),
    "modelopt_fp4": Method(75, "modelopt", ("hf_quant_config.json",)),
    "modelopt_mxfp8": Method(80, "modelopt", ("hf_quant_config.json",)),
    "modelopt_mixed": Method(75, "modelopt", ("hf_quant_config.json",)),
    "compressed-tensors": Method(70, "compressed-tensors"),
    "quark": Method(70, "quark"),
    "torchao": Method(75, "torchao"),
    "inc": Method(60, "inc"),
    "gpt_oss_mxfp4": Method(80, "mxfp4"),
    "deepseek_v4_fp8": Method(75, "fp8"),
    "moe_wna16": Method(70),
    "experts_int8": Method(80),
    "humming": Method(75),
    "online": Method(75),
    "fp8_per_tensor": Method(75),
    "fp8_per_block": Method(75),
    "fp8_per_channel": Method(75),
    "int8_per_channel_weight_only": Method(75),
    "nvfp4_per_token": Method(75),
    "mxfp4": Method(80),
    "mxfp8": Method(80),
}
DEPRECATED = ("fbgemm_fp8", "fp_quant")
#: What Transformers quantizes with and vLLM has no loader for.
FOREIGN = ("aqlm", "bitnet", "bitsandbytes", "eetq", "gguf", "higgs", "hqq", "quanto", "spqr", "vptq")
#: Done on the fly although a checkpoint may have it too.
_ON_THE_FLY = "on the fly: fp8_per_tensor, fp8_per_block, fp8_per_channel"
_HERE = ("engine", "vllm", "quantization")


def complaints(s: VllmSettings) -> Iterator[Complaint]:
    """Of the file alone."""
    name = s.quantization
    if name is None or number(s.pinned) < SINCE:
        return
    if name in FOREIGN:
        yield Complaint(_HERE, f"vLLM {s.pinned} has no loader for {name}", f"a model quantized otherwise, or {_ON_THE_FLY}")
    elif name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, 1)
        if close or number(s.pinned) <= number(KNOWN[-1]):  # a newer vLLM may have more, and says so aloud when it has not
            hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(sorted(METHODS))}"
            yield Complaint(_HERE, f"vLLM {s.pinned} has no quantization {name}", hint)
    elif name in DEPRECATED and not _allowed(s):
        yield Complaint(_HERE, f"vLLM {s.pinned} refuses {name} as deprecated", "args: {allow_deprecated_quantization: true}")


def of_model(s: VllmSettings, model: LockedModel) -> Iterator[Complaint]:
    """What the file says against what the model is."""
    has, said = model.facts.quantization, s.quantization
    if has in FOREIGN and number(s.pinned) >= SINCE:
        what = f"{model.name} is quantized with {has}, and vLLM has no loader for that"
        yield Complaint(("model",), what, f"the unquantized model, {_ON_THE_FLY}; or the engine transformers")
        return
    method = METHODS.get(said) if said else None
    if method is None or method.family is None:
        return
    known = {m.family for m in METHODS.values() if m.family}
    if has in known and has != method.family:
        yield Complaint(_HERE, f"{model.name} is quantized with {has}, not with {said}", f"leave it out, or {has}")
    elif has is None and model.files and said != "fp8" and not _says_itself(method, model):
        what = f"{model.name} is not quantized, and {said} is nothing that can be done while it loads"
        yield Complaint(_HERE, what, f"a repository that is, or {_ON_THE_FLY}")


def of_gpu(s: VllmSettings, model: LockedModel | None, gpu: str, capability: int) -> Iterator[Complaint]:
    """What a GPU of this capability cannot compute."""
    has = f"{gpu} (compute capability {_written(capability)})"
    name = s.quantization or (model.facts.quantization if model is not None else None)
    method = METHODS.get(name or "")
    if method is not None and capability < method.least:
        where = _HERE if s.quantization else ("model",)
        fitting = sorted(n for n, m in METHODS.items() if m.least <= capability and (m.family is None) == (method.family is None))
        hint = "a GPU that can, or " + (f"one of {', '.join(fitting)}" if fitting else "the unquantized model")
        yield Complaint(where, f"{has} cannot compute {name}, which needs {_written(method.least)}", hint)
    if s.dtype == "bfloat16" and capability < BFLOAT16:
        what = f"{has} cannot compute in bfloat16, which needs {_written(BFLOAT16)}"
        yield Complaint(("engine", "vllm", "dtype"), what, "float16, or leave it out")


def _says_itself(method: Method, model: LockedModel) -> bool:
    return any(f.path in method.files for f in model.files)


def _allowed(s: VllmSettings) -> bool:
    return any(name.replace("-", "_") == "allow_deprecated_quantization" and value is True for name, value in s.args.items())


def _written(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"
