"""What a new deployment is asked, step by step: each field with its type, default and meaning from the models' own schema,
so that a form never knows a rule of its own. Used by app.draft and, through it, by the terminal UI.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from deployer.engines import ENGINES, settings_models
from deployer.spec.validate import grammars
from deployer.spec.wanted import Grammar

STEPS = ("model", "engine", "parameters", "hardware", "endpoint")

#: One line about each engine, for a person who chooses.
ENGINE_WORDS: Mapping[str, str] = {name: engine.about for name, engine in ENGINES.items()}

#: Key pairs that an endpoint is asked for; `deployer keys create` adds more.
KEYS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """One field. `kind`: text, integer, number, flag, choice, list, secret, or fork: a choice that is not written itself but
    decides which other fields there are. `default` is what holds when nothing is typed, as it would be typed.
    """

    path: tuple[str | int, ...]
    label: str
    kind: str
    about: str = ""
    wanted: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    needed: bool = False

    @property
    def key(self) -> str:
        return ".".join(str(part) for part in self.path)


FORKS: Mapping[str, Asked] = {
    "model": Asked(
        ("model",), "model from", "fork", "the hub, models/ of this fleet (pushed), a path on the hosts, or the catalogue",
        default="repo", choices=("repo", "path", "host_path", "catalog"),
    ),
    "engine": Asked(("engine",), "engine", "fork", default=next(iter(ENGINES)), choices=tuple(ENGINES)),
    "endpoint": Asked(
        ("endpoint",), "who may ask", "fork",
        "loopback: only from the host itself; keys: whoever has one; open: whoever reaches the gateway",
        default="loopback", choices=("loopback", "keys", "open"),
    ),
}  # fmt: skip


@lru_cache(maxsize=1)
def _grammar() -> Grammar:
    return grammars(tuple(settings_models().items()))["deployment"]


def asked(path: tuple[str | int, ...], label: str = "", about: str = "", *, needed: bool = False) -> Asked:
    """A field of the schema. `about` stands in where the schema has no description."""
    grammar = _grammar()
    outer: dict[str, Any] = (grammar.at(path[:-1]) or {}).get("properties", {}).get(path[-1], {})
    schema = grammar.at(path) or {}
    choices = _choices(grammar, schema)
    return Asked(
        path,
        label or str(path[-1]),
        "secret" if grammar.is_secret(path) else "choice" if choices else _KINDS.get(str(schema.get("type")), "text"),
        about or str(outer.get("description", "")),
        (grammar.wanted(path) or "").removeprefix("must be "),
        _typed(outer.get("default")),
        choices,
        needed,
    )


_KINDS = {"integer": "integer", "number": "number", "boolean": "flag", "array": "list"}


def _choices(grammar: Grammar, schema: Mapping[str, Any]) -> tuple[str, ...]:
    found = list(schema.get("enum", ()))
    for option in schema.get("anyOf", ()):
        found += grammar.open(option).get("enum", ())
    return tuple(str(one) for one in found)


def _typed(default: object) -> str:
    if isinstance(default, bool):
        return "true" if default else "false"
    return "" if default is None or isinstance(default, list | dict) else str(default)


def model_fields(kind: str) -> tuple[Asked, ...]:
    if kind == "path":
        return (asked(("model", "path"), "folder", "below models/ of this fleet; it is pushed to the hosts", needed=True),)
    if kind == "host_path":
        return (asked(("model", "host_path"), "path on the hosts", "a folder that is on every host already", needed=True),)
    if kind == "catalog":
        first = asked(("model", "catalog"), "model", "a name of the catalogue: type to narrow the list", needed=True)
    else:
        first = asked(("model", "repo"), "repository", "org/name on the hub", needed=True)
    return (
        first,
        asked(("model", "revision"), "revision", "a branch, a tag or a commit; deployer.lock pins the commit"),
        asked(("model", "accept_license"), "licence", "of a gated or licensed model: its name, as its card says it: llama3.1"),
        asked(("model", "token"), "token", "for a gated or private one, by reference: env:HF_TOKEN, file:PATH or command:WORDS"),
    )


def engine_fields(engine: str) -> tuple[Asked, ...]:
    """Every setting of the engine that is one value; maps and lists of packages are for the file itself."""
    schema = _grammar().at(("engine", engine)) or {}
    found = [asked(("engine", engine, name)) for name in schema.get("properties", {})]
    return tuple(one for one in found if one.kind in ("text", "integer", "number", "choice", "flag") and one.about)


#: Those that decide what the engine is made of, asked beside the engine; the others are parameters.
_OPTIMIZATION = ("version", "variant", "dtype", "quantization", "compute_type", "kv_cache_dtype")
#: Asked with the hardware.
_HARDWARE = ("device", "tensor_parallel", "pipeline_parallel")


def optimization_fields(engine: str) -> tuple[Asked, ...]:
    return tuple(one for one in engine_fields(engine) if one.path[-1] in _OPTIMIZATION)


def parameter_fields(engine: str) -> tuple[Asked, ...]:
    return (
        asked(("name",), "name", "its identity for ever, and part of its address", needed=True),
        asked(("description",), "description", "for people"),
        asked(("tags",), "tags", "chat, prod: words to choose deployments by"),
        asked(("replicas",), "replicas", "running copies"),
        *(one for one in engine_fields(engine) if one.path[-1] not in (*_OPTIMIZATION, *_HARDWARE)),
        *(asked(("sampling", name), name, about) for name, about in _SAMPLING.items()),
    )


_SAMPLING = {
    "temperature": "0 always takes the likeliest word; when a request does not say",
    "top_p": "only the likeliest words that make up this share",
    "top_k": "only so many of the likeliest words; -1 for all",
    "max_tokens": "length of an answer",
    "stop": 'texts that end an answer: "</s>", "\\n\\n"',
    "repetition_penalty": "above 1 avoids what was said already",
}


def hardware_fields(engine: str) -> tuple[Asked, ...]:
    return (
        *(one for one in engine_fields(engine) if one.path[-1] in _HARDWARE),
        asked(("placement", "gpus"), "GPUs per replica", "left out: as many as the engine's settings imply"),
        asked(("placement", "gpu_share"), "share of a GPU", "so much of each of its GPUs, such as 30%; left out: all of it"),
        asked(("placement", "hosts"), "hosts", "where replicas may stand; none: any host"),
        asked(("resources", "memory"), "memory", "of the host, at most so much for one replica: 64GiB"),
        asked(("resources", "cpu"), "cpu", "cores, at most so many for one replica"),
    )


def endpoint_fields(kind: str) -> tuple[Asked, ...]:
    names = asked(("endpoint", "model_names"), "other names", "of the model that clients may send besides the deployment's name")
    timeout = asked(("endpoint", "timeout"), "timeout", "of one request")
    if kind == "loopback":
        return (names,)
    return (*(key_fields() if kind == "keys" else ()), names, timeout)


def key_fields() -> tuple[Asked, ...]:
    found: list[Asked] = []
    for number in range(KEYS):
        path = ("endpoint", "keys", number)
        found.append(asked((*path, "name"), f"key {number + 1}: name", "of a team or program", needed=not number))
        about = "where its value is found: env:NAME, file:PATH or command:WORDS"
        found.append(asked((*path, "secret"), f"key {number + 1}: secret", about, needed=not number))
    return tuple(found)


FIELDS: Mapping[str, Callable[[Mapping[str, str]], tuple[Asked, ...]]] = {
    "model": lambda chosen: (FORKS["model"], *model_fields(chosen["model"])),
    "engine": lambda chosen: (FORKS["engine"], *optimization_fields(chosen["engine"])),
    "parameters": lambda chosen: parameter_fields(chosen["engine"]),
    "hardware": lambda chosen: hardware_fields(chosen["engine"]),
    "endpoint": lambda chosen: (FORKS["endpoint"], *endpoint_fields(chosen["endpoint"])),
}
