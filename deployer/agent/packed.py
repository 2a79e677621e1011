"""What all hosts of a fleet have alike, on its way to the controller. Not in wire: only a probe needs it, and all else is
quicker without.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def packed(value: Any) -> str:
    """JSON, compressed, in base64: equal values give equal texts, so that who reads it from many hosts does so once."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode("ascii")


def unpacked(text: str) -> Any:
    """Raises ValueError for what `packed` did not make."""
    try:
        return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except zlib.error as error:
        raise ValueError(str(error)) from error
