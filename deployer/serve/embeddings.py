"""`POST /v1/embeddings` in OpenAI's shape, with vLLM's `truncate_prompt_tokens`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deployer.serve.body import check_model_name, parse_body
from deployer.serve.encoder import EncoderModel
from deployer.serve.errors import ApiError, bad
from deployer.serve.oneshot import Job, Task
from deployer.serve.single import SingleService
from deployer.serve.web import read_body, unless_gone

MOST_INPUTS = 2048  # of one request, as OpenAI has it
_FIELDS = frozenset(("model", "input", "encoding_format", "dimensions", "user", "truncate_prompt_tokens", "add_special_tokens"))


async def answer(service: SingleService, request: Request) -> Response:
    model = service.admit()
    assert isinstance(model, EncoderModel)
    body = parse_body(await read_body(request, service.config.max_body_bytes))
    name = check_model_name(body, service.config.model_names)
    inputs, packed = await run_in_threadpool(_read, body, model)
    job = Job([Task(ids, len(ids)) for ids in inputs])
    service.submit(job)
    try:
        vectors = await unless_gone(request, job.answer)
    finally:
        job.cancel()
    tokens = sum(map(len, inputs))
    return await asyncio.get_running_loop().run_in_executor(None, _shaped, vectors, name, tokens, packed)


def _shaped(vectors: list[Any], name: str, tokens: int, packed: bool) -> Response:
    data = [
        {
            "object": "embedding",
            "index": number,
            "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode() if packed else vector.tolist(),
        }
        for number, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": name, "usage": usage})


def _read(body: Mapping[str, Any], model: EncoderModel) -> tuple[list[list[int]], bool]:
    """Token ids of each input, and whether base64 is wanted. Raises ApiError that names the field."""
    for field, value in body.items():
        if field not in _FIELDS and value is not None:
            raise bad(field, "unknown, or not supported for embeddings")
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise bad("encoding_format", "float or base64 is wanted")
    dimensions = body.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or dimensions != model.size):
        raise bad("dimensions", f"this model makes vectors of {model.size}, and was not trained to be cut: leave it out")
    return [_ids(where, item, body, model) for where, item in _inputs(body.get("input"))], form == "base64"


def _inputs(given: Any) -> list[tuple[str, Any]]:
    if isinstance(given, str):
        return [("input", given)]
    if not isinstance(given, list) or not given:
        raise bad("input", "a text, a list of texts, a list of token ids, or a list of such lists is wanted")
    if all(isinstance(item, int) for item in given):
        return [("input", given)]
    if len(given) > MOST_INPUTS:
        raise bad("input", f"{len(given)} texts are too many for one request: at most {MOST_INPUTS}")
    return [(f"input[{number}]", item) for number, item in enumerate(given)]


def _ids(where: str, item: Any, body: Mapping[str, Any], model: EncoderModel) -> list[int]:
    cut = _cut(body.get("truncate_prompt_tokens"), model.context)
    if isinstance(item, str):
        special = body.get("add_special_tokens")
        if special not in (None, True, False):
            raise bad("add_special_tokens", "true or false is wanted")
        ids = _encode(where, item, model, cut, special is not False)
    elif isinstance(item, list):
        ids = _given(where, item, model)[:cut]
    else:
        raise bad(where, "a text or a list of token ids is wanted")
    if not ids:
        raise bad(where, "there is no token in it")
    if len(ids) > model.context:
        what = f"{where} has {len(ids)} tokens; this model reads at most {model.context}."
        message = f"{what} Shorten it, or send truncate_prompt_tokens: -1 to have it cut."
        raise ApiError(400, message, param="input", code="context_length_exceeded")
    return ids


def _encode(where: str, text: str, model: EncoderModel, cut: int | None, special: bool) -> list[int]:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise bad(where, "half of a surrogate pair is in it, which is no character") from None
    return model.encode(text, cut, special)


def _given(where: str, ids: list[Any], model: EncoderModel) -> list[int]:
    for item in ids:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < model.vocabulary:
            raise bad(where, f"{str(item)[:40]} is not a token of this model; its ids go from 0 to {model.vocabulary - 1}")
    return ids


def _cut(value: Any, context: int) -> int | None:
    """None: nothing is cut."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < -1 or value == 0:
        raise bad("truncate_prompt_tokens", "a number of tokens is wanted, or -1 for as many as the model reads")
    if value > context:
        raise bad("truncate_prompt_tokens", f"{value} is more than this model reads, {context}")
    return context if value == -1 else value
