"""CTranslate2 or vLLM for this model on this hardware, and why: lines for `plan --explain`. Pure; called by plan.fitting.

The figures are of one machine (2 cores, a Llama of 92 M parameters, 128 tokens a request); docs/ctranslate2.md says where each
came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deployer.engines.ctranslate2_families import family_of
from deployer.state.locked import LockedModel

#: Of NVIDIA GPUs, from the installation page of vLLM (0.21 and newer).
_VLLM_LEAST = (7, 5)
_PAIR = ("vllm", "ctranslate2")
#: Of an engine that generates: which of the two is asked for JSON (docs/decisions/0028).
_SCHEMAS = "a JSON schema for the answers (response_format) is kept by vllm, and refused with a 400 by ctranslate2"
#: Measured with all-MiniLM-L6-v2 (docs/ctranslate2.md), against the original weights in float32.
_INT8_VECTORS = (
    "int8 moves the vectors: cosine to the original 0.997 on average for sentences and at least 0.99, for single words as low as "
    "0.965; int16 (CPUs of Intel's) at least 0.995, float32 1.000"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """`engine`: which of the two; `why`: a line each."""

    engine: str
    why: tuple[str, ...]


def choice(engine: str, model: LockedModel | None, capabilities: Sequence[str | None]) -> Choice | None:
    """For a replica on GPUs with these compute capabilities, () for a CPU. None: it has another engine, or nothing is known."""
    if engine not in _PAIR or model is None or not model.facts.architectures:
        return None
    architecture, family = model.facts.architectures[0], family_of(model.facts.architectures)
    if family is None or family.kind is None:
        return Choice("vllm", (f"CTranslate2's converter does not know {architecture}",))
    if model.facts.quantization not in (None, "awq"):
        return Choice("vllm", (f"its weights are quantized with {model.facts.quantization}, which the converter cannot read",))
    if family.kind != "generator":
        return _other_kind(family.kind)
    return _on_gpus(capabilities) if capabilities else _on_a_cpu()


def _other_kind(kind: str) -> Choice:
    why = {
        "encoder": "a batch of texts is one call, so continuous batching has nothing to gain; int8 keeps a quarter of float32",
        "translator": "CTranslate2 was made for translation: beam search, and languages as fields of a request",
        "whisper": "its routes answer WAV files with subtitles and times, in int8 also on a CPU",
    }[kind]
    more = (_INT8_VECTORS,) if kind == "encoder" else ()
    return Choice("ctranslate2", (why, "it starts in seconds and needs no torch on the host", *more))


def _on_gpus(capabilities: Sequence[str | None]) -> Choice:
    old = [said for said in capabilities if said and tuple(map(int, said.split("."))) < _VLLM_LEAST]
    if old:
        return Choice("ctranslate2", (f"vLLM wants compute capability 7.5, and this GPU has {old[0]}",))
    why = (
        "many requests at once: it batches continuously; CTranslate2's batches run to their longest answer (its issue 1333)",
        "ctranslate2 instead for one user at a time, a start in seconds, or int8 beside another model on this GPU",
        _SCHEMAS,
    )
    return Choice("vllm", why)


def _on_a_cpu() -> Choice:
    why = (
        "int8 is the CPU's fast type: a quarter of float32's memory; 0.2 GB against 2.7 GB, ready in 0.2 s against 23 to 50 s",
        "vllm (variant: cpu) instead for many users at once: 760 to 950 tokens a second against 480 to 530 at 16 requests",
        _SCHEMAS,
    )
    return Choice("ctranslate2", why)
