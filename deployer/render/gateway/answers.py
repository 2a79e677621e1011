"""Answers that HAProxy gives itself, in the shape that clients of OpenAI's API read."""

import json
from functools import lru_cache

from deployer.render.quote import haproxy_word

_TYPES = {429: "rate_limit_error"}


@lru_cache(maxsize=64)  # thousands of routes share all but one of them, and the answers below
def body(status: int, message: str, code: str) -> str:
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


@lru_cache(maxsize=256)
def answer(status: int, message: str, code: str, condition: str = "", **headers: str) -> str:
    """A rule that answers, as one line. `headers`: Retry_After="1"."""
    said = haproxy_word(body(status, message, code))
    more = "".join(f" hdr {name.replace('_', '-')} {haproxy_word(value)}" for name, value in headers.items())
    return f"    http-request return status {status} content-type application/json string {said}{more} {condition}".rstrip()
