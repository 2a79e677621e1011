"""How tokens are chosen: the fields of a request, the defaults of the deployment and of the model, in that order.

Nothing is ignored: what this engine cannot do is refused by name, unless the value asks for nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.serve.errors import ApiError, bad

GREEDY_BELOW = 1e-5  # a temperature below this is greedy, as in vLLM


@dataclass(frozen=True)
class Defaults:
    """What a request gets that does not say. None: nobody said anything."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None  # of the whole process; a request's own is refused

    def over(self, other: Defaults) -> Defaults:
        """These, and where they say nothing the others."""
        mine = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return dataclasses.replace(other, **{k: v for k, v in mine.items() if v is not None and v != ()})


@dataclass(frozen=True)
class Params:
    """One request's choices, complete. `top_k` 0: all tokens. `max_tokens` None: as many as the context has room for."""

    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    max_tokens: int | None
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    include_stop: bool = False
    bans: tuple[int, ...] = ()  # tokens that are never generated
    asked: bool = False  # max_tokens is the request's own: too large is an error, not cut

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW or self.top_k == 1


def _number(low: float, high: float, *, above: bool = False) -> Callable[[str, Any], float]:
    def parse(name: str, value: Any) -> float:
        wrong = isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
        if wrong or not low <= value <= high or (above and value == low):
            raise bad(name, f"a number {'above' if above else 'from'} {low:g} to {high:g} is wanted")
        return float(value)

    return parse


def _integer(low: int, high: int = 2**31 - 1) -> Callable[[str, Any], int]:
    def parse(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise bad(name, f"a whole number from {low} to {high} is wanted")
        return value

    return parse


def _top_k(name: str, value: Any) -> int:
    return max(0, _integer(-1)(name, value))  # -1 and 0: all tokens


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise bad(name, "true or false is wanted")
    return value


def _stop(name: str, value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if (
        not isinstance(texts, (list, tuple))
        or len(texts) > 64
        or not all(isinstance(t, str) and 0 < len(t) <= 1024 for t in texts)
    ):
        raise bad(name, "a text or a list of up to 64 texts of 1 to 1024 characters is wanted")
    return tuple(texts)


def _ids(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > 1024:
        raise bad(name, "a list of token ids is wanted")
    return tuple(_integer(0)(name, item) for item in value)


_SHARED: dict[str, Callable[[str, Any], Any]] = {
    "temperature": _number(0.0, 100.0),
    "top_p": _number(0.0, 1.0, above=True),
    "top_k": _top_k,
    "repetition_penalty": _number(0.0, 100.0, above=True),
    "max_tokens": _integer(1),
    "stop": _stop,
}


def _bans(name: str, value: Any) -> tuple[int, ...]:
    """Tokens with a bias of -100, which forbids them; the engine knows no other bias."""
    if not isinstance(value, dict) or len(value) > 1024:
        raise bad(name, "an object of token ids is wanted")
    for token, bias in value.items():
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise bad(f"{name}.{token[:40]}", "is not a token id")
        if isinstance(bias, bool) or bias not in (-100, 0):
            raise bad(f"{name}.{token}", "only -100, which forbids the token, is supported by this engine")
    return tuple(sorted(int(token) for token, bias in value.items() if bias))


_REQUEST: dict[str, Callable[[str, Any], Any]] = {
    **_SHARED,
    "max_tokens": _integer(0),
    "logit_bias": _bans,
    "max_completion_tokens": _integer(1),
    "min_tokens": _integer(0),
    "ignore_eos": _flag,
    "stop_token_ids": _ids,
    "include_stop_str_in_output": _flag,
}
FIELDS = frozenset(_REQUEST)

_NEUTRAL: dict[str, tuple[Any, ...]] = {"presence_penalty": (0,), "frequency_penalty": (0,), "min_p": (0,)}


def parse_defaults(values: Mapping[str, Any]) -> Defaults:
    """`sampling` of the configuration. Raises ApiError that names the key."""
    known: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        if name == "seed":
            known[name] = _integer(0, 2**32 - 1)(name, value)
        elif name in _SHARED:
            known[name] = _SHARED[name](name, value)
        elif name not in _NEUTRAL:
            raise bad(name, "unknown")
        elif value not in _NEUTRAL[name]:
            raise bad(name, "not supported by this engine")
    return Defaults(**known)


def model_defaults(generation_config: Mapping[str, Any]) -> Defaults:
    """What generation_config.json says. A value that makes no sense is left out, as the model's author is not here."""
    known: dict[str, Any] = {}
    for name, source in (
        *((n, n) for n in ("temperature", "top_p", "top_k", "repetition_penalty")),
        ("max_tokens", "max_new_tokens"),
    ):
        value = generation_config.get(source)
        if value is None:
            continue
        try:
            known[name] = _SHARED[name](name, value)
        except ApiError:
            continue
    return Defaults(**known)


def parse_request(body: Mapping[str, Any], defaults: Defaults, fallback_max_tokens: int | None) -> Params:
    """The sampling fields of a request over the defaults. Raises ApiError that names the field."""
    given: dict[str, Any] = {n: p(n, body[n]) for n, p in _REQUEST.items() if body.get(n) is not None}
    limits = [given[n] for n in ("max_completion_tokens", "max_tokens") if n in given]
    max_tokens = limits[0] if limits else defaults.max_tokens or fallback_max_tokens
    bans = given.get("logit_bias", ())
    params = Params(
        temperature=_first(given.get("temperature"), defaults.temperature, 1.0),
        top_p=_first(given.get("top_p"), defaults.top_p, 1.0),
        top_k=_first(given.get("top_k"), defaults.top_k, 0),
        repetition_penalty=_first(given.get("repetition_penalty"), defaults.repetition_penalty, 1.0),
        max_tokens=max_tokens,
        min_tokens=given.get("min_tokens", 0),
        ignore_eos=given.get("ignore_eos", False),
        stop=given.get("stop", defaults.stop),
        stop_token_ids=given.get("stop_token_ids", ()),
        include_stop=given.get("include_stop_str_in_output", False),
        bans=bans,
        asked=bool(limits),
    )
    if max_tokens is not None and params.min_tokens > max_tokens:
        raise bad("min_tokens", f"{params.min_tokens} is more than max_tokens, {max_tokens}")
    return params


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def group_key(params: Params, prompt_length: int) -> tuple[Any, ...]:
    """Rows with the same key may share a batch: the engine takes one set of options for all of them.

    With a repetition penalty the engine would count the prompt's tokens of the longer rows only, so lengths must agree.
    """
    choice: tuple[Any, ...] = ("greedy",) if params.greedy else (params.temperature, params.top_p, params.top_k)
    least = 0 if params.ignore_eos else params.min_tokens
    penalty = params.repetition_penalty
    ends = params.stop_token_ids if least else ()
    return (choice, penalty, prompt_length if penalty != 1.0 else None, least, ends, params.bans)


def may_restart(params: Params) -> bool:
    """Whether a row may go on in another batch: what it has said is then a prompt for the engine, which does not count for
    a penalty or for `min_tokens`."""
    return params.repetition_penalty == 1.0 and not params.min_tokens


def engine_options(params: Params, eos: tuple[int, ...], vocabulary: Sequence[str]) -> dict[str, Any]:
    """Options of `Generator.generate_batch` for a group. Ends are found by the callback, row by row; the engine itself needs
    to know them only to keep them away for `min_tokens`.
    """
    options: dict[str, Any] = {"end_token": [], "min_length": 0, "repetition_penalty": params.repetition_penalty}
    if params.min_tokens and not params.ignore_eos:
        ends: list[int] = sorted({*eos, *params.stop_token_ids})
        options.update(end_token=ends, min_length=params.min_tokens, return_end_token=True)
    if params.bans:
        options["suppress_sequences"] = [[vocabulary[token]] for token in params.bans]
    if params.greedy:
        options["sampling_topk"] = 1
    else:
        options["sampling_topk"] = min(params.top_k, len(vocabulary))
        options["sampling_topp"] = params.top_p
        options["sampling_temperature"] = params.temperature
    return options
