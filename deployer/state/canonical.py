"""One way to turn a value into bytes, so that equal values have equal digests."""

import hashlib
import json
from typing import Any

#: Made once: `json.dumps` makes a new one at every call that wants sorted keys.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8. Raises TypeError for what JSON cannot say, NaN included."""
    return _ENCODER.encode(value).encode()


def digest(value: Any, length: int = 64) -> str:
    """The first `length` hex digits of the SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()[:length]


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
