"""`POST /v1/translate`, and the same as a chat: the last message is the text, its translation the answer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from deployer.serve.body import check_model_name, parse_body
from deployer.serve.chat import check_messages
from deployer.serve.errors import bad
from deployer.serve.oneshot import Job, Task
from deployer.serve.single import SingleService
from deployer.serve.translator import Options, Source, TranslatorModel
from deployer.serve.web import read_body, unless_gone

MOST_TEXTS = 2048
_SHARED = frozenset(("model", "source_language", "target_language", "beam_size", "max_tokens", "user"))
_TRANSLATE = _SHARED | {"text"}
_CHAT = _SHARED | {"messages", "stream", "max_completion_tokens", "temperature"}
_LENGTH = 256  # tokens of a translation when nobody says


async def answer(service: SingleService, request: Request) -> Response:
    model = service.admit()
    assert isinstance(model, TranslatorModel)
    body = parse_body(await read_body(request, service.config.max_body_bytes))
    name = check_model_name(body, service.config.model_names)
    chat = request.url.path.endswith("/chat/completions")
    sources, options = await run_in_threadpool(_read, body, model, chat)
    job = Job([Task(source, len(source.tokens), options) for source in sources])
    service.submit(job)
    try:
        found: list[tuple[str, int]] = await unless_gone(request, job.answer)
    finally:
        job.cancel()
    read, made = sum(len(source.tokens) for source in sources), sum(tokens for _, tokens in found)
    service.metrics.count("generation_tokens", made)
    usage = {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}
    if not chat:
        data = [{"index": number, "text": text} for number, (text, _) in enumerate(found)]
        return JSONResponse({"object": "list", "model": name, "data": data, "usage": usage})
    reason = "length" if found[0][1] >= options.length else "stop"
    return _said(name, found[0][0], reason, usage, stream=body.get("stream") is True)


def _read(body: Mapping[str, Any], model: TranslatorModel, chat: bool) -> tuple[list[Source], Options]:
    """Raises ApiError that names the field."""
    for field, value in body.items():
        if field not in (_CHAT if chat else _TRANSLATE) and value is not None:
            raise bad(field, "unknown, or not supported for translations")
    if body.get("stream") not in (None, True, False):
        raise bad("stream", "true or false is wanted")
    if body.get("temperature") not in (None, 0, 1):
        raise bad("temperature", "a translation is not sampled: leave it out")
    texts = [_last(body)] if chat else _texts(body.get("text"))
    languages = [_code(body, "source_language"), _code(body, "target_language")]
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    length = _whole(body, name, _LENGTH, 1, 4096)
    options = Options(_whole(body, "beam_size", 2, 1, 16), length, model.many)
    return [model.source(text, languages[0], languages[1]) for text in texts], options


def _last(body: Mapping[str, Any]) -> str:
    messages = check_messages(body.get("messages"))
    if messages[-1]["role"] != "user":
        raise bad("messages", "the last one is what is translated, and must be the user's")
    return _one("messages", messages[-1]["content"])


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        return [_one("text", given)]
    if not isinstance(given, list) or not given:
        raise bad("text", "a text or a list of texts is wanted")
    if len(given) > MOST_TEXTS:
        raise bad("text", f"{len(given)} texts are too many for one request: at most {MOST_TEXTS}")
    return [_one(f"text[{number}]", item) for number, item in enumerate(given)]


def _one(where: str, text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise bad(where, "a text that is not empty is wanted")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise bad(where, "half of a surrogate pair is in it, which is no character") from None
    return text


def _code(body: Mapping[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is not None and (not isinstance(value, str) or not value):
        raise bad(field, "a language as the model writes it is wanted")
    return value


def _whole(body: Mapping[str, Any], field: str, default: int, least: int, most: int) -> int:
    value = body.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad(field, f"a whole number from {least} to {most} is wanted")
    return value


def _said(name: str, text: str, reason: str, usage: dict[str, int], *, stream: bool) -> Response:
    base: dict[str, Any] = {"id": "chatcmpl-" + uuid.uuid4().hex, "created": int(time.time()), "model": name}
    message = {"role": "assistant", "content": text}
    if not stream:
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return JSONResponse({**base, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def chunks() -> AsyncIterator[str]:
        """A translation is known as a whole only: one piece, and the end."""
        for delta, end in ((message, None), ({}, reason)):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
            chunk = {**base, "object": "chat.completion.chunk", "choices": [choice]}
            yield "data: " + json.dumps(chunk, ensure_ascii=False) + "\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")
