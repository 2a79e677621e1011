"""A request's bytes into a job: checked JSON, prompt tokens, sampling, limits. Everything wrong is an ApiError."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployer.serve.body import check_model_name
from deployer.serve.chat import no_template, template_arguments
from deployer.serve.errors import ApiError, bad
from deployer.serve.fields import CHAT, COMPLETION, check_fields, stream_options
from deployer.serve.model import Model
from deployer.serve.output import Output, flag, parse_output
from deployer.serve.sampling import Params, parse_request
from deployer.serve.scoring import MOST_BYTES

MOST_PROMPTS = 1024
COMPLETION_TOKENS = 16  # max_tokens of /v1/completions when nobody says, as with OpenAI and vLLM


@dataclass(frozen=True)
class Prompt:
    """`text` as the client wrote it; None where it was token ids."""

    ids: list[int]
    text: str | None


@dataclass(frozen=True)
class Job:
    """A request that can be run: `output.n` answers to each of the `prompts`; `limits` are the most tokens for each prompt."""

    chat: bool
    model_name: str
    prompts: list[Prompt]
    limits: list[int]
    params: Params
    output: Output
    stream: bool
    include_usage: bool = False
    usage_always: bool = False

    @property
    def choices(self) -> list[tuple[Prompt, int]]:
        """(prompt, limit) of each answer, in the order of their index."""
        pairs = zip(self.prompts, self.limits)  # noqa: B905  Python 3.9
        return [pair for pair in pairs for _ in range(self.output.n)]


def make_job(body: dict[str, Any], *, chat: bool, model: Model, names: Sequence[str]) -> Job:
    """Raises ApiError. May take a while for a long prompt: call it from a thread."""
    name = check_model_name(body, names)
    check_fields(body, CHAT if chat else COMPLETION)
    stream, include_usage, usage_always = stream_options(body)
    output = parse_output(body, chat=chat, stream=stream)
    params = parse_request(body, model.defaults, None if chat else COMPLETION_TOKENS)
    for token in params.stop_token_ids:
        if token >= len(model.vocabulary):
            raise bad("stop_token_ids", f"{token} is not a token of this model")
    if params.max_tokens == 0 and not output.echo:
        raise bad("max_tokens", "0 tokens are only useful with echo: true")
    prompts = [chat_prompt(body, model)] if chat else _plain_prompts(body, model)
    if output.truncate is not None:
        prompts = [_truncated(prompt, output.truncate, params, model.context) for prompt in prompts]
    limits = [_limit(prompt.ids, params, model.context) for prompt in prompts]
    if output.wants_scores:
        for prompt, limit in zip(prompts, limits):  # noqa: B905  Python 3.9
            _check_scores(len(prompt.ids) + limit, len(model.vocabulary))
    return Job(chat, name, prompts, limits, params, output, stream, include_usage, usage_always)


def chat_prompt(body: dict[str, Any], model: Model) -> Prompt:
    if model.template is None:
        raise no_template()
    generate = flag(body, "add_generation_prompt", True)
    extra = template_arguments(body.get("chat_template_kwargs"))
    text = model.template.render(body.get("messages"), add_generation_prompt=generate, extra=extra)
    return _encode("messages", text, model, special=flag(body, "add_special_tokens", False))


def _plain_prompts(body: dict[str, Any], model: Model) -> list[Prompt]:
    """One text, one list of token ids, or a list of either."""
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], (str, list))
    if several and len(prompt) > MOST_PROMPTS:  # type: ignore[arg-type]
        raise bad("prompt", f"at most {MOST_PROMPTS} prompts in one request")
    special = flag(body, "add_special_tokens", True)
    if several:
        return [plain_prompt(f"prompt[{at}]", one, model, special) for at, one in enumerate(prompt)]  # type: ignore[arg-type]
    return [plain_prompt("prompt", prompt, model, special)]


def plain_prompt(param: str, prompt: Any, model: Model, special: bool) -> Prompt:
    if isinstance(prompt, str):
        return _encode(param, prompt, model, special=special)
    if not isinstance(prompt, list):
        raise bad(param, "a text or a list of token ids is wanted")
    if not prompt:
        raise bad(param, "there is no token in it")
    return Prompt(check_ids(param, prompt, model), None)


def check_ids(param: str, ids: list[Any], model: Model) -> list[int]:
    for item in ids:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < len(model.vocabulary):
            known = f"its ids go from 0 to {len(model.vocabulary) - 1}"
            raise bad(param, f"{str(item)[:40]} is not a token of this model; {known}")
    return ids


def _encode(param: str, text: str, model: Model, *, special: bool) -> Prompt:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise bad(param, "half of a surrogate pair is in it, which is no character") from None
    ids: list[int] = model.tokenizer.encode(text, add_special_tokens=special).ids
    if not ids:
        raise bad(param, "there is no token in it")
    return Prompt(ids, text)


def _truncated(prompt: Prompt, keep: int, params: Params, context: int) -> Prompt:
    """The end of a prompt. -1: what leaves room for the answer."""
    if keep == -1:
        keep = max(1, context - (params.max_tokens or 1))
    elif keep == 0:
        raise bad("truncate_prompt_tokens", "no token would be left")
    return prompt if len(prompt.ids) <= keep else Prompt(prompt.ids[-keep:], None)


def _check_scores(tokens: int, vocabulary: int) -> None:
    most = MOST_BYTES // 4 // vocabulary
    if tokens > most:
        text = f"{tokens} tokens of prompt and answer are more than this server computes probabilities for at once, {most}"
        raise bad("logprobs", text)


def _limit(prompt: list[int], params: Params, context: int) -> int:
    room = context - len(prompt)
    if room < (0 if params.max_tokens == 0 else 1):
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
