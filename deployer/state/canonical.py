"""One way to turn a value into bytes, so that equal values have equal digests."""

import hashlib
import json
from typing import Any

import orjson

#: What is not plain JSON is left to the encoder below, which refuses it.
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
#: For the few values that orjson does not take: whole numbers of more than 64 bits, and tuples with names.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8. Raises TypeError for what JSON cannot say."""
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return _ENCODER.encode(value).encode()


def digest(value: Any, length: int = 64) -> str:
    """The first `length` hex digits of the SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()[:length]


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
