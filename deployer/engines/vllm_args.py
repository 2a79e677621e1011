"""Checks `engine.vllm.args` against the options of that vLLM version, and writes vLLM's config file. Called by engines.vllm.

vLLM accepts abbreviations, drops `false` and empty lists of its config file, reads `null` as the text "None", and an empty
API key switches authentication off: what it would swallow is refused here, with the name that was meant.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from deployer.engines.vllm_flags import ALIASES, KNOWN, Flag, added_in, flags, minor, number, removed_in

#: Options that are ours, and what to write instead.
RESERVED = {
    **dict.fromkeys(("model", "revision", "code-revision", "tokenizer-revision", "download-dir", "hf-token"), "see model:"),
    **dict.fromkeys(("host", "port", "uds", "root-path", "grpc", "grpc-port", "headless"), "the gateway is what clients reach"),
    **dict.fromkeys(
        ("ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs", "ssl-ciphers", "enable-ssl-refresh"), "see gateway:"
    ),
    "config": "write its settings under args",
    "api-key": "use endpoint.keys: vLLM's own key leaves paths open",
    "served-model-name": "use endpoint.model_names",
    "override-generation-config": "use sampling",
    "max-num-seqs": "use batch.max_size",
    "lora-modules": "use adapters",
    "middleware": "deployer puts the defaults of sampling into requests with one",
    "device-ids": "use placement.gpus",
    "shutdown-timeout": "deployer drains at the gateway first",
    "dtype": "use engine.vllm.dtype",
    "max-model-len": "use engine.vllm.max_model_len",
    "quantization": "use engine.vllm.quantization",
    "kv-cache-dtype": "use engine.vllm.kv_cache_dtype",
    "gpu-memory-utilization": "use engine.vllm.gpu_memory_utilization",
    "tensor-parallel-size": "use engine.vllm.tensor_parallel",
    "pipeline-parallel-size": "use engine.vllm.pipeline_parallel",
}
_SEVERAL_HOSTS = ("data-parallel", "nnodes", "node-rank", "master-addr", "master-port")
_SIZE = re.compile(r"\d+(\.\d+)?([kKmMgGtT](i?B)?)?")
_VALUES = {"generation-config": ("auto", "vllm")}  # vLLM takes any text here and ignores what it does not know

Found = tuple[str, str | None]  # message, hint


def check_argument(version: str, name: str, value: Any) -> Found | None:
    """What is wrong with one entry of `args`; None when vLLM will read it as it is meant."""
    if found := check_name(version, name):
        return found
    wanted = _option(name)
    flag = flags(minor(version)).get(wanted)
    return check_value(wanted, flag, value) if flag is not None else None


def check_name(version: str, name: str) -> Found | None:
    """Of its name alone."""
    wanted = _option(name)
    if wanted in RESERVED:
        return f"args may not hold {name}: deployer sets it", RESERVED[wanted]
    if wanted.startswith(_SEVERAL_HOSTS):
        return f"{name} is not supported yet: a replica stands on one host", None
    known = flags(minor(version))
    return None if wanted in known else _unknown(version, name, wanted, known)


def _option(name: str) -> str:
    wanted = name.removeprefix("--").replace("_", "-")
    return ALIASES.get(wanted, wanted)


def _unknown(version: str, name: str, wanted: str, known: Mapping[str, Flag]) -> Found | None:
    if wanted.startswith("no-") and wanted[3:] in known:
        return f"write {_field(wanted[3:])}: false instead of {name}", None
    if found := _of_another(version, wanted, known):
        return found
    longer = [k for k in known if k.startswith(wanted)]
    newer = number(version) > number(KNOWN[-1])
    close = longer if len(longer) == 1 else difflib.get_close_matches(wanted, [*known, *RESERVED], 1, 0.85 if newer else 0.6)
    if not close and newer:
        return None  # that vLLM may have it, and says so aloud when it has not
    hint = f"did you mean {_field(close[0])}?" if close else f"deployer engines options {minor(version)} lists them"
    return f"vLLM {version} has no option {_field(wanted)}", hint


def _of_another(version: str, wanted: str, known: Mapping[str, Flag]) -> Found | None:
    """An option that another version has: since when this one has it no more, or which one brings it."""
    if gone := removed_in(version, wanted):
        since, was = gone
        what = f"vLLM {version} has no option {_field(wanted)} any more: removed in {since}"
        if was.deprecated:
            return what, f"vLLM said of it: {was.deprecated}"
        fresh = [name for name, flag in known.items() if name not in flags(_before(since)) and flag.kind == was.kind]
        close = difflib.get_close_matches(wanted, fresh, 1, 0.6)
        return what, f"{since} brought {_field(close[0])} in its place" if close else "leave it out"
    if comes := added_in(version, wanted):
        return f"vLLM {version} has no option {_field(wanted)} yet: it comes with {comes}", "leave it out, or raise version"
    return None


def _before(since: str) -> str:
    return KNOWN[KNOWN.index(since) - 1]


def check_value(name: str, flag: Flag, value: Any) -> Found | None:
    """A value as vLLM's parser would take it, checked without coercion."""
    if value is None:
        return f"{_field(name)} has no value: vLLM would read the text None", "leave it out"
    if flag.kind in ("switch", "true"):
        return _check_switch(name, flag, value)
    if isinstance(value, list | tuple) and flag.kind != "json":
        if not flag.many:
            return f"{_field(name)} takes one value, not a list", None
        if not value:
            return f"{_field(name)} is an empty list: vLLM would ignore it", "leave it out"
        return next((found for v in value if (found := _check_one(name, flag, v))), None)
    return _check_one(name, flag, value)


def _check_switch(name: str, flag: Flag, value: Any) -> Found | None:
    if not isinstance(value, bool):
        return f"{_field(name)} must be true or false", None
    if flag.kind == "true" and not value:
        return f"{_field(name)} can only be switched on", "leave it out"
    return None


def _check_one(name: str, flag: Flag, value: Any) -> Found | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Mapping | list | tuple):
        return f"{_field(name)} must be {_kind(flag)}, not {json.dumps(value, default=str)}", None
    if isinstance(value, str) and (not value or value.startswith("-")):
        return f"{_field(name)} must be {_kind(flag)}: vLLM would take {value!r} for another option", None
    if not _fits(flag, value):
        return f"{_field(name)} must be {_kind(flag)}, not {json.dumps(value)}", None
    choices = flag.choices or _VALUES.get(name, ())
    if choices and str(value) not in choices:
        close = difflib.get_close_matches(str(value), choices, 1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(choices)}"
        return f"{_field(name)} cannot be {value!r}", hint
    return None


def _fits(flag: Flag, value: Any) -> bool:
    if flag.kind == "int":
        return isinstance(value, int)
    if flag.kind == "float":
        return isinstance(value, int | float)
    if flag.kind == "size":
        return isinstance(value, int) or (isinstance(value, str) and bool(_SIZE.fullmatch(value)))
    if flag.kind == "json":
        return not isinstance(value, str | int | float) or (isinstance(value, str) and _is_json(value))
    return not isinstance(value, list | tuple)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _kind(flag: Flag) -> str:
    kinds = {"int": "a whole number", "float": "a number", "size": "a number such as 8192 or 8k", "json": "a mapping"}
    return kinds.get(flag.kind, "a text")


def _field(name: str) -> str:
    return name.replace("-", "_")


def arguments(version: str, args: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Checked `args` as (option, value) of vLLM's config file. `false` becomes --no-…, since vLLM drops a false there."""
    known = flags(minor(version))
    for name, value in args.items():
        option = name.removeprefix("--").replace("_", "-")
        flag = known.get(option, Flag("switch" if isinstance(value, bool) else "text", many=isinstance(value, list | tuple)))
        if isinstance(value, bool):
            yield (option if value else f"no-{option}"), True
        elif flag.kind == "json" or isinstance(value, Mapping):
            yield option, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=list)
        elif flag.many:
            items = value if isinstance(value, list | tuple) else [value]
            yield option, [json.dumps(v, ensure_ascii=False) if isinstance(v, Mapping) else v for v in items]
        else:
            yield option, value


_JSON = json.JSONEncoder(ensure_ascii=False).encode  # made once: `json.dumps` makes a new one at every such call


def config_lines(options: Mapping[str, Any]) -> dict[str, str]:
    """vLLM's config file by option: YAML in which every value is written as JSON, one option a line."""
    return {name: f"{name}: {_quoted(value)}\n" for name, value in options.items()}


def _quoted(value: Any) -> str:
    """JSON, with what YAML calls unprintable as escapes; pairs of \\u would not be joined by a YAML reader."""
    if type(value) is int:
        return str(value)
    text = f"[{', '.join([_JSON(one) for one in value])}]" if type(value) is list else _JSON(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c > "\uffff" else f"\\u{ord(c):04x}" for c in text)
