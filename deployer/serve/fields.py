"""Which fields a request may hold. What would change the answer and is not known here is refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.serve.errors import bad
from deployer.serve.sampling import FIELDS

#: Say nothing about the answer.
_HARMLESS = frozenset(
    ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "request_id", "priority")
)
_OUTPUT = frozenset(("n", "best_of", "logprobs", "skip_special_tokens", "truncate_prompt_tokens"))
_COMMON = FIELDS | _HARMLESS | _OUTPUT | {"model", "stream", "stream_options", "add_special_tokens"}
CHAT = _COMMON | {"messages", "top_logprobs", "add_generation_prompt", "chat_template_kwargs"}
COMPLETION = _COMMON | {"prompt", "echo"}

#: vLLM's names for a form that the answer must have, older ones too.
_GUIDED = ("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structural_tag")

#: Known, not supported, and accepted only with a value that asks for nothing; null always is one.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "prompt_logprobs": (),
    **dict.fromkeys(_GUIDED, ()),
    "top_logprobs": (0,),
    "echo": (False,),
    "suffix": ("",),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "min_p": (0,),
    "use_beam_search": (False,),
    "length_penalty": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "continue_final_message": (False,),
    "spaces_between_special_tokens": (True,),
    "verbosity": (),
    "reasoning_effort": (),
    "seed": (),
}
_STRUCTURE = "this engine cannot keep an answer to a form; vllm and llamacpp can. Ask for it in the prompt, or deploy one of them"
_WHY = {
    "response_format": _STRUCTURE,
    **dict.fromkeys(_GUIDED, _STRUCTURE),
    "seed": "this engine cannot repeat a random answer; temperature 0 always gives the same one",
}


def check_fields(body: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Raises ApiError 400 with the first field that cannot be honoured."""
    greedy = body.get("temperature") == 0
    for name, value in body.items():
        if name in allowed or value is None or (name == "seed" and greedy):
            continue
        if name not in _NEUTRAL:
            raise bad(name, "unknown, or not supported by this engine")
        if not any(_same(value, neutral) for neutral in _NEUTRAL[name]):
            raise bad(name, f"not supported by this engine: {_WHY.get(name, 'leave it out')}")


def stream_options(body: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """(stream, usage at its end, usage in every chunk)."""
    stream = body.get("stream")
    if stream not in (None, True, False):
        raise bad("stream", "true or false is wanted")
    options = body.get("stream_options")
    if options is None:
        return bool(stream), False, False
    if not stream:
        raise bad("stream_options", "only with stream: true")
    if not isinstance(options, dict):
        raise bad("stream_options", "an object is wanted")
    for name, value in options.items():
        known = name in ("include_usage", "continuous_usage_stats") or (name == "include_obfuscation" and value in (False, None))
        if not known or value not in (True, False, None):
            raise bad(f"stream_options.{name}", "not supported by this engine")
    end = bool(options.get("include_usage"))
    return True, end, end and bool(options.get("continuous_usage_stats"))


def _same(value: Any, neutral: Any) -> bool:
    return bool(value == neutral) and isinstance(value, bool) == isinstance(neutral, bool)
