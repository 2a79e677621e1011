"""What CTranslate2 really computes in. Pure; read by engines.ctranslate2 and engines.effective.

CTranslate2 takes another type than the weights' own without a word where the device has no fast way for theirs. This is
`resolve_compute_type` of src/types.cc (4.8), with what each device can: src/cpu/backend.cc and gpu_supports_int8,
gpu_has_fp16_tensor_cores in src/cuda/utils.cc. The wheels are built with MKL and oneDNN on x86-64 and with Ruy on ARM.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.state.locked import ModelFacts

COMPUTE_TYPES = ("float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16")
_YES = frozenset({"1", "true", "yes", "on"})  # string_to_bool of src/utils.cc, and its like


@dataclass(frozen=True, slots=True)
class Device:
    """What it has a fast way for. `name` as in "this CPU", "this GPU (7.5)". `int16` None: the vendor of the CPU is not known."""

    name: str
    cuda: bool
    int8: bool
    float16: bool = False
    bfloat16: bool = False
    int16: bool | None = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """`compute_type` None: it cannot be told, or CTranslate2 does not start (`refused`). `why` when it is not what was asked."""

    compute_type: str | None
    why: str | None = None
    refused: bool = False


def cpu(arch: str, vendor: str | None, env: Mapping[str, str]) -> Device:
    """`vendor` as /proc/cpuinfo says it: int16 is MKL's, which CTranslate2 uses on Intel's own only."""
    if arch != "x86_64":
        return Device("this CPU", cuda=False, int8=True)
    asked = env.get("CT2_USE_MKL")
    mkl = asked.lower() in _YES if asked else None if vendor is None else vendor == "GenuineIntel"
    return Device("this CPU", cuda=False, int8=True, int16=mkl)


def gpu(capability: str, env: Mapping[str, str]) -> Device:
    """`capability` as in "8.0"."""
    major, _, minor = capability.partition(".")
    version = (int(major), int(minor or 0))
    return Device(
        f"this GPU (compute capability {capability})",
        cuda=True,
        int8=version >= (7, 0) or version == (6, 1),
        float16=version >= (7, 0) or env.get("CT2_CUDA_ALLOW_FP16", "").lower() in _YES,
        bfloat16=version >= (8, 0) or env.get("CT2_CUDA_ALLOW_BF16", "").lower() in _YES,
    )


def saved_type(quantization: str | None, facts: ModelFacts) -> str | None:
    """What the converted weights are stored as; plain int8 keeps the rest in the model's own type. None: not known."""
    if quantization not in (None, "int8"):
        return quantization
    own = _own(facts)
    if quantization is None or own is None:
        return own
    return f"int8_{own}"


_STORED = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _own(facts: ModelFacts) -> str | None:
    if facts.dtype is not None:
        said = {"float": "float32", "half": "float16"}.get(facts.dtype, facts.dtype)
        return said if said in _STORED.values() else None
    most = max(facts.tensors, key=lambda pair: pair[1], default=("", 0))[0]
    return _STORED.get(most)


def resolve(asked: str, saved: str | None, device: Device) -> Resolved:
    """`asked` is the compute_type of the deployment; default: as the weights are stored."""
    if asked == "auto":
        return _auto(device)
    wanted = saved if asked == "default" else asked
    if wanted is None:
        return Resolved(None, "deployer.lock does not say which type the weights have")
    if wanted == "int8":  # asked for: the float type is that of the weights
        kept = (saved or "float32").removeprefix("int8_")
        found = _fallback(f"int8_{kept if kept in ('float16', 'bfloat16') else 'float32'}", device)
        if found is None or not found.startswith("int8"):
            return _refused(asked, device)
        return Resolved(found)
    if asked != "default" and not _able(wanted, device):
        unknown = wanted == "int16" and device.int16 is None
        return Resolved(None, "it is not known whether this CPU is Intel's") if unknown else _refused(asked, device)
    found = _fallback(wanted, device)
    if found is None:
        return Resolved(None, "int16 on a CPU of Intel's, int8_float32 on others; it is not known which this is")
    if found == wanted:
        return Resolved(found)
    return Resolved(found, f"{device.name} has no fast {_lacking(wanted, device)}")


def _refused(asked: str, device: Device) -> Resolved:
    return Resolved(None, f"{device.name} cannot compute in {asked}, and CTranslate2 does not start with it", refused=True)


def _auto(device: Device) -> Resolved:
    if device.int8:
        return Resolved("int8_float16" if device.float16 else "int8_float32")
    return Resolved("float16" if device.float16 else "float32")


def _able(wanted: str, device: Device) -> bool:
    head, _, rest = wanted.partition("_")
    return all(_has(part, device) for part in (head, rest) if part)


def _has(part: str, device: Device) -> bool:
    return part == "float32" or bool(getattr(device, part))


def _lacking(wanted: str, device: Device) -> str:
    head, _, rest = wanted.partition("_")
    return " and no fast ".join(part for part in (head, rest) if part and not _has(part, device))


def _fallback(wanted: str, device: Device) -> str | None:
    """The first that the device can, in the order of CTranslate2. None: that hangs on a vendor nobody knows."""
    if wanted == "int16" and device.int16 is None:
        return None
    return next((name for name in (wanted, *_INSTEAD.get((wanted, device.cuda), ())) if _able(name, device)), "float32")


#: (type, on a GPU) → what is tried instead, in this order; float32 always is the last.
_INSTEAD: Mapping[tuple[str, bool], tuple[str, ...]] = {
    ("int16", False): ("int8_float32",),
    ("int16", True): ("float16",),
    ("int8_float32", False): ("int16",),
    ("int8_float32", True): ("float16",),
    ("int8_float16", False): ("int8_float32", "float16", "int16"),
    ("int8_float16", True): ("int8_float32", "float16", "int16"),
    ("int8_bfloat16", False): ("int8_float32", "bfloat16"),
    ("int8_bfloat16", True): ("int8_float32", "bfloat16"),
}
