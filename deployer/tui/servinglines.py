"""What a deployment serves with, in lines of its overview: what it computes in, its LoRA adapters, how far a start is. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deployer.app.dossier import Dossier
from deployer.app.serving import AdapterState
from deployer.app.times import passed, starting
from deployer.plan.words import count
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, clean, columns, line

#: Settings of an engine that say in what the model is kept and computed, as they were applied.
_KINDS = ("quantization", "dtype", "kv_cache_dtype")
#: Cells of the bar of a start.
CELLS = 10


def applied_facts(values: Mapping[str, Any]) -> str:
    """ ", quantization int8": what is not left to the engine."""
    told = [f"{name} {values[name]}" for name in _KINDS if values.get(name) not in (None, "", "auto")]
    return "".join(f", {one}" for one in told)


def computes_facts(dossier: Dossier) -> Iterator[tuple[str, str]]:
    """(label, text); the replicas are named where they differ."""
    for number, (words, names) in enumerate(dossier.computes):
        who = f"  ({', '.join(names)})" if len(dossier.computes) > 1 else ""
        yield "" if number else "computes in", f"{words}{who}"


def adapter_lines(adapters: Sequence[AdapterState]) -> Iterator[Line]:
    if not adapters:
        return
    wide = min(30, max(len(one.name) for one in adapters) + 2)
    whence = min(34, max(20, *(len(one.source or "") + 2 for one in adapters)))
    heads = (("ADAPTER", max(9, wide)), ("FROM", whence), ("RANK", 6), ("SERVED BY", 40))
    yield columns([(line((text, "bold dim")), size) for text, size in heads])
    for one in adapters:
        cells = (
            line((clean(one.name), "bold")),
            line((clean(one.source), "")) if one.source else line(("in no file any more", "warn")),
            line("" if one.rank is None else str(one.rank)),
            _served(one),
        )
        yield columns([(cell, size) for cell, (_, size) in zip(cells, heads, strict=True)])


def _served(one: AdapterState) -> Line:
    by = f"{one.served} of {count(one.replicas, 'replica')}"
    if not one.wanted:
        return line((f"{by}, until the next apply", "warn"))
    if one.served < one.replicas or not one.replicas:
        return line((f"{by}: an apply brings it" if one.served else "not applied yet", "warn"))
    return line((by, "good"))


def start_line(phase: str, since: str | None, expected_s: float | None, glyphs: Glyphs) -> str:
    """ "███████░░░ loading shards 5 of 15, 0:37 of about 0:52"; the bar only where both times are known."""
    said, seconds = starting(phase, since, expected_s), passed(since)
    if seconds is None or not expected_s:
        return said
    full = min(CELLS, int(CELLS * seconds / expected_s))
    return f"{glyphs.full * full}{glyphs.rest * (CELLS - full)} {said}"
