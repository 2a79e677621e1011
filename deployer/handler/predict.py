"""The predictor in the engine's place: its routes, and what `predict` gives back as an answer."""

from __future__ import annotations

import inspect
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from deployer.handler.answer import DONE, EVENTS, JSON, Answer, Problem, dumped, event, json_answer
from deployer.handler.config import Config
from deployer.handler.events import CHAT, PLAIN, as_stream
from deployer.handler.scripts import Message, Script


class Predictor:
    def __init__(self, script: Script, config: Config) -> None:
        self._script, self._config = script, config
        self._since = int(time.time())

    def models(self) -> Answer:
        shared = {"object": "model", "created": self._since, "owned_by": "predictor"}
        return json_answer({"object": "list", "data": [{"id": name, **shared} for name in self._config.model_names]})

    async def ask(self, message: Message) -> Answer:
        """Raises Problem."""
        if message.path not in self._config.paths:
            served = ", ".join(self._config.paths)
            raise Problem(404, f"This model answers {served}, not {message.path}.", code="not_found")
        found = await self._script.call("predict", message)
        streamed = message.get("stream") is True
        if inspect.isgenerator(found) or inspect.isasyncgen(found):
            items = self._script.items(found, (message,))
            if not streamed and message.path in (CHAT, PLAIN):
                return self._answer(self._completion(message, "".join([str(item) async for item in items])))
            return Answer(200, {"Content-Type": EVENTS, "Cache-Control": "no-cache"}, chunks=self._stream(items, message))
        if isinstance(found, bytes):
            return Answer(200, {"Content-Type": "application/octet-stream"}, found)
        if isinstance(found, str):
            found = self._completion(message, found)
        if streamed and message.path in (CHAT, PLAIN):
            return Answer(200, {"Content-Type": EVENTS, "Cache-Control": "no-cache"}, chunks=_all(as_stream(found, usage=True)))
        return self._answer(found)

    def _answer(self, found: Any) -> Answer:
        try:
            return Answer(200, {"Content-Type": JSON}, dumped(found))
        except (TypeError, ValueError) as error:
            raise self._script.problem("predict", TypeError(f"predict gave back what is no JSON: {error}")) from None

    def _completion(self, message: Message, text: str) -> Any:
        """A text alone, in the shape that the route is known for."""
        if message.path not in (CHAT, PLAIN):
            return {"output": text}
        chat = message.path == CHAT
        body: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, **body, "finish_reason": "stop"}
        return {**self._head(message), "object": "chat.completion" if chat else "text_completion", "choices": [choice]}

    def _head(self, message: Message) -> dict[str, Any]:
        model = message.get("model") or self._config.deployment
        return {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    async def _stream(self, items: AsyncIterator[Any], message: Message) -> AsyncIterator[bytes]:
        head = self._head(message)
        texts = False
        try:
            async for item in items:
                texts = texts or (isinstance(item, str) and message.path in (CHAT, PLAIN))
                yield event(_chunk(head, item, message.path, None) if isinstance(item, str) else item)
        except Problem as problem:
            yield event(problem.body())
        else:
            if texts:
                yield event(_chunk(head, "", message.path, "stop"))
        yield DONE


def _chunk(head: dict[str, Any], text: str, path: str, reason: str | None) -> Any:
    if path == CHAT:
        choice: dict[str, Any] = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}
        return {**head, "object": "chat.completion.chunk", "choices": [choice]}
    if path == PLAIN:
        return {**head, "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": reason}]}
    return {"output": text}


async def _all(chunks: Any) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
