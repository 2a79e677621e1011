"""The catalogue: entries by name, what an entry says of its model's size, and a deployment to paste. Called by
`deployer models`, and by whoever lets a person choose a model.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from deployer.app import written
from deployer.app.fitting import SIZES, Way
from deployer.engines import settings_models
from deployer.errors import UsageError
from deployer.lock.facts import facts_from_config
from deployer.spec.catalog import CatalogEntry, number, size_of
from deployer.spec.shelf import Shelved as Shelved
from deployer.spec.shelf import shelved
from deployer.state.locked import Locked, LockedFile, LockedModel, ModelFacts

#: Bytes of a parameter, by the type in which it lies. What is quantized has parts that are not: of fp8 those are the embeddings
#: and the output layer, in 16 bits (DeepSeek-V3, README_WEIGHTS.md; vllm quantization/fp8.py); of other methods `size` says it.
_WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
_QUANTIZED = ("fp8", "mxfp4")  # as vLLM names the method too
_WEIGHTS = "model.safetensors"
#: Nobody has listed its files yet: no engine is ruled out for the want of one before deployer.lock has.
_USUAL = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "preprocessor_config.json",
    _WEIGHTS,
)
_PARSERS = ("tool_call_parser", "reasoning_parser")


def entries(root: Path) -> dict[str, Shelved]:
    """Every entry by name, those of the fleet at `root` too. Raises SpecError with what is wrong in its `catalog/`."""
    return shelved(root, settings_models())


def one(found: Mapping[str, Shelved], name: str) -> Shelved:
    """By its name, or by its repository. Raises UsageError."""
    by_repo = {shelf.entry.repo.lower(): shelf for shelf in found.values()}
    known = found.get(name) or by_repo.get(name.lower())
    if known is None:
        close = get_close_matches(name.lower(), [*found, *by_repo], 1)
        hint = f"did you mean {close[0]}?" if close else "deployer models lists them; any repository can be deployed without"
        raise UsageError(f"the catalogue has no {name}", hint=hint)
    return known


def locked_as(entry: CatalogEntry, locked: Locked) -> LockedModel:
    """As deployer.lock has it, else as far as the entry tells: its size is then the number of parameters times their type."""
    known = locked.models.get(f"hub:{entry.repo}@main")
    if known is not None:
        return known
    facts = facts_from_config(entry.config, license=entry.license, gated=bool(entry.gated))
    if facts.quantization is None and entry.weights in _QUANTIZED:
        facts = replace(facts, quantization=entry.weights)
    kept = facts.dtype or (entry.weights if entry.weights in _WIDTHS else None)
    facts = replace(facts, context=entry.context or facts.context, dtype=kept, weights_bytes=_weights(entry, facts))
    files = tuple(LockedFile(name, (facts.weights_bytes or 0) if name == _WEIGHTS else 0, "") for name in _USUAL)
    return LockedModel(f"hub:{entry.repo}@main", "hub", entry.repo, "main", None, "", files, facts)


def _weights(entry: CatalogEntry, facts: ModelFacts) -> int | None:
    if entry.size is not None:
        return size_of(entry.size)
    if facts.quantization == "fp8" and entry.parameters is not None and facts.vocab_size and facts.hidden_size:
        ends = 1 if facts.cache is not None and facts.cache.tied else 2
        return number(entry.parameters) + ends * facts.vocab_size * facts.hidden_size
    width = _WIDTHS.get(entry.weights or facts.dtype or "") if facts.quantization is None else None
    return None if entry.parameters is None or width is None else number(entry.parameters) * width


def weights_alone(model: LockedModel, way: Way) -> int:
    """Where the whole is not computed: on how many GPUs of this kind vLLM could hold the weights, with a tenth of each left
    for the rest. 0: not known, or on none; it says nothing of the cache.
    """
    size = model.facts.weights_bytes
    if way.verdict != "unknown" or way.engine != "vllm" or size is None:
        return 0
    return next((n for n in SIZES if n <= way.there and size <= n * way.memory * 9 // 10), 0)


def parsers(entry: CatalogEntry) -> dict[str, str]:
    """Those of vLLM: "tool_call_parser" and "reasoning_parser", where the entry names them."""
    args = (entry.engines.get("vllm") or {}).get("args") or {}
    return {name: str(args[name]) for name in _PARSERS if name in args}


def deployment(entry: CatalogEntry, engine: str | None = None) -> str:
    """A file of `deployments/` to paste, with the settings written out: a deployment takes nothing but the repository from the
    catalogue. Raises UsageError for an engine that the entry does not name.
    """
    name = engine or next(iter(entry.engines))
    if name not in entry.engines:
        raise UsageError(f"{entry.name} names no settings of {name}", hint=f"it has {', '.join(entry.engines)}")
    return "\n".join(
        [
            f"name: {plain_name(entry.name)}",
            "model:",
            f"  catalog: {entry.name}  # {entry.repo}",
            *_gate(entry),
            "engine:",
            *_lines(name, entry.engines[name] or {}),
        ]
    )


def _gate(entry: CatalogEntry) -> Iterator[str]:
    """Accepting a licence is left to a person."""
    if entry.gated:
        yield f"  # accept_license: {entry.license or '…'}  # once it is accepted at https://huggingface.co/{entry.repo}"
        yield "  token: {env: HF_TOKEN}"


def _lines(engine: str, said: Mapping[str, Any]) -> Iterator[str]:
    if not said:
        yield f"  {engine}: {{}}"
        return
    yield f"  {engine}:"
    for key, value in said.items():
        if isinstance(value, Mapping) and value:
            yield f"    {key}:"
            yield from (f"      {inner}: {written.value(one)}" for inner, one in value.items())
        else:
            yield f"    {key}: {written.value(value)}"


def plain_name(name: str) -> str:
    """A deployment's name has no dots and at most 40 characters."""
    return name.replace(".", "-")[:40].rstrip("-")


def of_kind(found: Mapping[str, Shelved], kinds: Iterable[str]) -> list[Shelved]:
    wanted = set(kinds)
    return [shelf for shelf in found.values() if not wanted or shelf.entry.kind in wanted]
