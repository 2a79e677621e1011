"""The transformer: changes requests on their way in and answers on their way out, in front of an engine or a predictor."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from deployer.handler.answer import DONE, EVENTS, Answer, Problem, dumped, event
from deployer.handler.events import as_stream, cut, payload
from deployer.handler.scripts import Message, Script

Ask = Callable[[Message], Awaitable[Answer]]
_MISSING = object()


class Transformer:
    """Functions of the user's class that are not there change nothing."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def run(self, message: Message, ask: Ask) -> Answer:
        """`ask` gets the changed request and answers it. Raises Problem."""
        if self._script.has("preprocess"):
            message = _message(await self._script.call("preprocess", message), message)
        streamed = message.get("stream") is True
        if streamed and self._script.has("postprocess_chunk"):
            return self._each(await ask(message), message)
        if not self._script.has("postprocess"):
            return await ask(message)
        usage = _wants_usage(message)
        plain = _message({k: v for k, v in message.items() if k not in ("stream", "stream_options")}, message)
        answer = await ask(plain if streamed else message)
        if answer.status != 200 or not answer.is_json:
            return answer
        changed = await self._script.call("postprocess", json.loads(await whole(answer)), message)
        if streamed:
            return Answer(
                200, {"Content-Type": EVENTS, "Cache-Control": "no-cache"}, chunks=_listed(as_stream(changed, usage=usage))
            )
        return Answer(200, _headers(answer), dumped(changed))

    def _each(self, answer: Answer, message: Message) -> Answer:
        if answer.status != 200 or answer.chunks is None:
            return answer
        return Answer(200, _headers(answer), chunks=self._chunks(answer.chunks, message), close=answer.close)

    async def _chunks(self, chunks: AsyncIterator[bytes], message: Message) -> AsyncIterator[bytes]:
        async for text in cut(chunks):
            found = payload(text)
            if found is None:
                yield text + b"\n\n"
                continue
            try:
                changed = await self._script.call("postprocess_chunk", found, message)
            except Problem as problem:
                yield event(problem.body())
                yield DONE
                return
            if changed is not None:
                yield event(changed)


async def whole(answer: Answer) -> bytes:
    if answer.chunks is None:
        return answer.body
    return b"".join([chunk async for chunk in answer.chunks])


def _message(found: Any, before: Message) -> Message:
    """What a script gave back; nothing means that it changed the request in place."""
    if found is None or found is before:
        return before
    if not isinstance(found, dict):
        raise Problem(500, "The transformer script of this model gave back something else than a mapping.", code="script_error")
    made = Message(found)
    made.path, made.id, made.headers = before.path, before.id, before.headers
    return made


def _wants_usage(message: Message) -> bool:
    options = message.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _headers(answer: Answer) -> dict[str, str]:
    """The body is another one now."""
    dropped = ("content-length", "etag", "content-md5", "digest")
    return {name: value for name, value in answer.headers.items() if name.lower() not in dropped}


async def _listed(chunks: Any) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
