"""A request's bytes into a job: checked JSON, prompt tokens, sampling, limits. Everything wrong is an ApiError."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployer.serve.chat import no_template, template_arguments
from deployer.serve.errors import ApiError, bad
from deployer.serve.fields import CHAT, COMPLETION, check_fields, stream_options
from deployer.serve.model import Model
from deployer.serve.sampling import Params, parse_request

COMPLETION_TOKENS = 16  # max_tokens of /v1/completions when nobody says, as with OpenAI and vLLM


@dataclass(frozen=True)
class Job:
    """A request that can be run: `prompt` ids, `limit` the most tokens to generate."""

    chat: bool
    model_name: str
    prompt: list[int]
    params: Params
    limit: int
    stream: bool
    include_usage: bool


def parse_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ApiError(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise ApiError(400, "The body is nested too deeply.") from None
    except ValueError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return body


def check_model_name(body: dict[str, Any], names: Sequence[str]) -> str:
    """The name to answer with. A request without a model means the only one that is here."""
    name = body.get("model")
    if name is None:
        return names[0]
    if name not in names:
        message = f"The model {name!r} does not exist here. Served: {', '.join(names)}."
        raise ApiError(404, message, param="model", code="model_not_found")
    return str(name)


def make_job(body: dict[str, Any], *, chat: bool, model: Model, names: Sequence[str]) -> Job:
    """Raises ApiError. May take a while for a long prompt: call it from a thread."""
    name = check_model_name(body, names)
    check_fields(body, CHAT if chat else COMPLETION)
    stream, include_usage = stream_options(body)
    params = parse_request(body, model.defaults, None if chat else COMPLETION_TOKENS)
    for token in params.stop_token_ids:
        if token >= len(model.vocabulary):
            raise bad("stop_token_ids", f"{token} is not a token of this model")
    prompt = _chat_prompt(body, model) if chat else _plain_prompt(body, model)
    return Job(chat, name, prompt, params, _limit(prompt, params, model.context), stream, include_usage)


def _chat_prompt(body: dict[str, Any], model: Model) -> list[int]:
    if model.template is None:
        raise no_template()
    generate = _flag(body, "add_generation_prompt", True)
    extra = template_arguments(body.get("chat_template_kwargs"))
    text = model.template.render(body.get("messages"), add_generation_prompt=generate, extra=extra)
    return _encode("messages", text, model, special=_flag(body, "add_special_tokens", False))


def _plain_prompt(body: dict[str, Any], model: Model) -> list[int]:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return _encode("prompt", prompt, model, special=_flag(body, "add_special_tokens", True))
    if not isinstance(prompt, list):
        raise bad("prompt", "a text or a list of token ids is wanted")
    if any(isinstance(item, (str, list)) for item in prompt):
        raise bad("prompt", "several prompts in one request are not supported by this engine; send one request each")
    if not prompt:
        raise bad("prompt", "there is no token in it")
    for item in prompt:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < len(model.vocabulary):
            raise bad(
                "prompt", f"{str(item)[:40]} is not a token of this model; its ids go from 0 to {len(model.vocabulary) - 1}"
            )
    return prompt


def _encode(param: str, text: str, model: Model, *, special: bool) -> list[int]:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise bad(param, "half of a surrogate pair is in it, which is no character") from None
    ids: list[int] = model.tokenizer.encode(text, add_special_tokens=special).ids
    if not ids:
        raise bad(param, "there is no token in it")
    return ids


def _limit(prompt: list[int], params: Params, context: int) -> int:
    room = context - len(prompt)
    if room < 1:
        raise _too_long(
            f"The prompt has {len(prompt)} tokens; this model's context of {context} has no room for an answer.", None
        )
    wanted = params.max_tokens
    if wanted is None:
        return _least(params, room)
    if wanted > room and params.asked:
        text = f"The prompt has {len(prompt)} tokens and max_tokens is {wanted}: more than the model's context, {context}."
        raise _too_long(text, "max_tokens")
    return _least(params, min(wanted, room))


def _least(params: Params, limit: int) -> int:
    if params.min_tokens > limit:
        raise bad("min_tokens", f"{params.min_tokens} is more than there is room for, {limit}")
    return limit


def _too_long(message: str, param: str | None) -> ApiError:
    return ApiError(400, message, param=param, code="context_length_exceeded")


def _flag(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad(name, "true or false is wanted")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")
