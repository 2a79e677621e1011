"""The header of a GGUF file: what the model is, how long its context is, how its weights are stored. Called by folder.py.

A reader of our own because the reference one (PyPI's gguf) brings numpy and maps every tensor to tell these few figures. Only
the beginning of the file is read: general.* and the architecture's own keys stand before the vocabulary.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from deployer.errors import LockfileError
from deployer.state.locked import CacheFacts, ModelFacts

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_BIGGEST_TEXT = 1 << 20
_MOST_PAIRS = 100_000
_MOST_ELEMENTS = 1 << 20
_HEADER = 64 << 20
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
#: general.file_type, llama.cpp's llama_ftype.
_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M"},
    **{13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS"},
    **{21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S"},
    **{29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4"},
}
_VOCABULARY = "how many tokens"
_UNQUANTIZED = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class _Broken(Exception):
    pass


def gguf_facts(file: Path, where: str) -> ModelFacts:
    """Raises LockfileError naming `where` for a file that is no GGUF, of a version nobody reads, or cut off in its header."""
    try:
        with file.open("rb") as stream:
            found = dict(_pairs(stream))
            stream.seek(0)
            template = b"tokenizer.chat_template" in stream.read(_HEADER)
    except _Broken as error:
        hint = "download it again, and compare its SHA-256 with the one that its author names"
        raise LockfileError(f"this is not a GGUF file that llama.cpp reads: {error}", where=where, hint=hint) from None
    return _facts(found, template)


def _facts(found: dict[str, Any], template: bool) -> ModelFacts:
    architecture = found.get("general.architecture")
    prefix = architecture if isinstance(architecture, str) else ""

    def number(name: str) -> int | None:
        value = found.get(f"{prefix}.{name}")
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

    unlike = any(found.get(f"{prefix}.{name}") == () for name in ("attention.head_count", "attention.head_count_kv"))
    kind = _TYPES.get(found.get("general.file_type", -1))
    return ModelFacts(
        model_type=prefix or None,
        dtype=_UNQUANTIZED.get(kind or ""),
        quantization=None if kind in _UNQUANTIZED else kind,
        context=number("context_length"),
        vocab_size=number("vocab_size") or found.get(_VOCABULARY),
        hidden_size=number("embedding_length"),
        layers=number("block_count"),
        heads=number("attention.head_count"),
        kv_heads=number("attention.head_count_kv"),
        head_dim=number("attention.key_length"),
        chat_template=template,
        cache=CacheFacts(
            text_type=f"{prefix} with unlike layers" if unlike else prefix or None,
            window=number("attention.sliding_window"),
            intermediate_size=number("feed_forward_length"),
            expert_intermediate_size=number("expert_feed_forward_length"),
            experts_per_token=number("expert_used_count"),
        ),
    )


def _pairs(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    magic = stream.read(4)
    if magic != MAGIC:
        raise _Broken(f"it begins with {magic!r}, not with {MAGIC!r}")
    (version,) = _read(stream, "<I")
    if version not in VERSIONS:
        other = struct.unpack(">I", struct.pack("<I", version))[0]
        raise _Broken("it is written for big-endian machines" if other in VERSIONS else f"its version is {version}")
    _, pairs = _read(stream, "<QQ")
    if pairs > _MOST_PAIRS:
        raise _Broken(f"it announces {pairs} entries")
    for _ in range(pairs):
        key = _text(stream)
        (kind,) = _read(stream, "<I")
        if kind == _ARRAY:
            if key.startswith("tokenizer."):
                if key.endswith(".tokens"):
                    yield _VOCABULARY, _read(stream, "<IQ")[1]
                return  # what follows is not asked for
            for _ in _array(stream):
                pass
            yield key, ()  # it differs from layer to layer
        elif kind == _STRING:
            yield key, _text(stream)
        else:
            yield key, _scalar(stream, kind)


def _array(stream: BinaryIO) -> Iterator[Any]:
    kind, count = _read(stream, "<IQ")
    if count > _MOST_ELEMENTS:
        raise _Broken(f"it announces a list of {count} elements")
    for _ in range(count):
        yield _text(stream) if kind == _STRING else _scalar(stream, kind)


def _scalar(stream: BinaryIO, kind: int) -> Any:
    if kind not in _SCALARS:
        raise _Broken(f"it holds a value of the unknown type {kind}")
    return _read(stream, _SCALARS[kind])[0]


def _text(stream: BinaryIO) -> str:
    (length,) = _read(stream, "<Q")
    if length > _BIGGEST_TEXT:
        raise _Broken(f"it announces a text of {length} bytes")
    raw = stream.read(length)
    if len(raw) != length:
        raise _Broken("it is cut off")
    return raw.decode("utf-8", "replace")


def _read(stream: BinaryIO, layout: str) -> tuple[Any, ...]:
    size = struct.calcsize(layout)
    raw = stream.read(size)
    if len(raw) != size:
        raise _Broken("it is cut off")
    return struct.unpack(layout, raw)
