"""Server-sent events: cut out of a stream of bytes, put together to one answer, made of one answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from deployer.handler.answer import DONE, event

CHAT = "/v1/chat/completions"
PLAIN = "/v1/completions"


class Cutter:
    """Gives whole events out of chunks that end anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        parts = (self._rest + chunk.replace(b"\r\n", b"\n")).split(b"\n\n")
        self._rest = parts.pop()
        yield from (part for part in parts if part)

    def end(self) -> Iterator[bytes]:
        if self._rest.strip():
            yield self._rest
        self._rest = b""


def payload(text: bytes) -> Any:
    """The JSON of an event; None for one without, such as a comment or [DONE]."""
    lines = [line[5:].strip() for line in text.split(b"\n") if line.startswith(b"data:")]
    if not lines or lines == [b"[DONE]"]:
        return None
    try:
        return json.loads(b"\n".join(lines))
    except ValueError:
        return None


async def cut(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    cutter = Cutter()
    async for chunk in chunks:
        for one in cutter.feed(chunk):
            yield one
    for one in cutter.end():
        yield one


class Whole:
    """Puts the chunks of a streamed completion together to what the engine would have answered without a stream."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self.others: list[Any] = []  # events that are no completion's chunks

    def add(self, chunk: Any) -> None:
        if not isinstance(chunk, dict) or not isinstance(chunk.get("choices"), list):
            self.others.append(chunk)
            return
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._answer[name] = value
        for choice in chunk["choices"]:
            if isinstance(choice, dict):
                self._choice(choice)

    def _choice(self, given: dict[str, Any]) -> None:
        index = given.get("index", 0)
        choice = self._choices.setdefault(index, {"index": index})
        if isinstance(given.get("delta"), dict):
            message = choice.setdefault("message", {"role": "assistant", "content": ""})
            for name, value in given["delta"].items():
                old = message.get(name)
                both_text = isinstance(old, str) and isinstance(value, str) and name != "role"
                message[name] = old + value if both_text and isinstance(old, str) else old if value is None else value
        if isinstance(given.get("text"), str):
            choice["text"] = choice.get("text", "") + given["text"]
        if given.get("finish_reason") is not None:
            choice["finish_reason"] = given["finish_reason"]

    def answer(self) -> Any:
        """One event alone, or several, when they were no completion."""
        if not self._choices and not self._answer:
            return self.others[0] if len(self.others) == 1 else self.others
        kind = str(self._answer.get("object", "")).replace(".chunk", "")
        return {**self._answer, "object": kind, "choices": [self._choices[n] for n in sorted(self._choices)]}


def as_stream(answer: Any, *, usage: bool) -> Iterator[bytes]:
    """A whole completion as the events of a stream: each choice in one piece. What is no completion is one event."""
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        yield event(answer)
        yield DONE
        return
    shared = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    if shared.get("object") == "chat.completion":
        shared["object"] = "chat.completion.chunk"
    for choice in answer["choices"]:
        reason = choice.get("finish_reason")
        rest = {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
        if "message" in choice:
            rest["delta"] = choice["message"]
        last: dict[str, Any] = {"index": choice.get("index", 0)}
        if "message" in choice:
            last["delta"] = {}
        else:
            last["text"] = ""
        yield event({**shared, "choices": [{**rest, "finish_reason": None}]})
        yield event({**shared, "choices": [{**last, "finish_reason": reason}]})
    if usage and answer.get("usage") is not None:
        yield event({**shared, "choices": [], "usage": answer["usage"]})
    yield DONE
