"""Defaults of `sampling` that vLLM cannot hold, put into requests by a small ASGI middleware that vLLM loads. Called by
engines.vllm.

`--override-generation-config` drops `stop` and `seed` without a word, and makes of `max_tokens` a cap that cuts a request's
own larger value (tried with 0.32). So these three go into the body of a request that does not say them itself.
"""

import json
from typing import Any

MODULE = "request_defaults"
MIDDLEWARE = f"{MODULE}.RequestDefaults"
HELD_HERE = ("stop", "max_tokens", "seed")

_SOURCE = '''\
"""Puts this deployment's defaults into requests that do not say them themselves. Loaded by vLLM as a middleware."""

import json

DEFAULTS = json.loads({defaults})
#: What the length of an answer is called, by path; the first is written, each of them counts as said.
LENGTH = {{
    "/v1/completions": ("max_tokens",),
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens"),
    "/v1/responses": ("max_output_tokens",),
}}


def with_defaults(body, path):
    try:
        request = json.loads(body)
    except ValueError:
        return body  # vLLM says what is wrong with it
    if not isinstance(request, dict):
        return body
    for name, value in DEFAULTS.items():
        names = LENGTH[path] if name == "max_tokens" else (name,)
        if all(request.get(n) is None for n in names):
            request[names[0]] = value
    return json.dumps(request).encode()


class RequestDefaults:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in LENGTH:
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        body = with_defaults(body, scope["path"])
        replay = [{{"type": "http.request", "body": body, "more_body": False}}]
        kept = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
        headers = [*kept, (b"content-length", str(len(body)).encode())]

        async def again():
            return replay.pop() if replay else await receive()

        await self.app({{**scope, "headers": headers}}, again, send)
'''


def middleware_source(defaults: dict[str, Any]) -> str:
    """The module as text. `defaults`: some of HELD_HERE, as JSON values."""
    return _SOURCE.format(defaults=repr(json.dumps(defaults, sort_keys=True)))
