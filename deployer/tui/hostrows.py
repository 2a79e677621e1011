"""Hosts as rows, in three forms: a row per GPU ("full"), a row per host with a block per GPU ("compact"), and a map of all
GPUs of the fleet ("heat", in heatmap.py). Pure drawing of values. Used by the fleet's place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from deployer.app.looking import GpuNow, HostNow
from deployer.app.times import age, ago
from deployer.app.values import HostState
from deployer.tui import holding
from deployer.tui.fleetquery import memory, memory_share, utilization
from deployer.tui.glyphs import Glyphs
from deployer.tui.grid import Column, Fitted, fit, heading, lay, width_at
from deployer.tui.line import Line, Span, line
from deployer.tui.meters import MEMORY, block, gib, heat, load_role, meter, percent, spark
from deployer.tui.widgets.rows import Entry, Row

#: Samples of the last minute that a sparkline shows at most.
MOST_SPARK = 60


@dataclass(frozen=True, slots=True)
class GpuRow:
    host: str
    first: bool  # of its host
    gpu: GpuNow
    state: str
    stale: bool


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as one row: one without GPUs, one that is not heard, or any in the compact form. `seen` is said for the latter."""

    host: HostNow
    state: str
    seen: str = ""


@dataclass(frozen=True, slots=True)
class NoteRow:
    text: str
    role: str


def key_of(host: str, part: str = "") -> str:
    """Of a row; `host_of` takes it apart again. No name of a host has a slash."""
    return f"{host}/{part}"


def host_of(key: str) -> str:
    return key.partition("/")[0]


def columns_for(names: Iterable[str], width: int, *, compact: bool = False, gpus: int = 1, state_width: int = 4) -> Fitted:
    """`gpus`: most in one host; `state_width`: cells of the longest sign and word of a state."""
    name = min(24, max((len(one) for one in names), default=4))
    columns = [
        Column("host", "HOST", max(6, min(name, 12)), max(6, name), 0),
        Column("state", "STATE", max(5, state_width), max(5, state_width), 2),
        Column("util", "UTIL", 5, 5, 1, right=True),
        Column("meter", "MEMORY", 10, 10, 8),
        Column("memory", "GiB", 7, 9, 3, right=True),
        Column("temperature", "TEMP", 5, 5, 5, right=True),
    ]
    if compact:
        columns.insert(2, Column("gpus", "GPUS", max(4, min(gpus, 8)), max(4, gpus), 1))
        columns.append(Column("replica", "REPLICAS", 8, 120, 6))
    else:
        columns.insert(2, Column("gpu", "GPU", 3, 3, 1))
        columns.insert(3, Column("model", "MODEL", 8, 18, 9))
        columns.insert(5, Column("spark", "LAST MINUTE", 10, MOST_SPARK, 7))
        columns.append(Column("replica", "REPLICA", 8, 24, 4))
    return fit(columns, width)


def head(fitted: Fitted, every_s: float) -> Row:
    """`every_s`: seconds from one sample to the next; says how far back the sparklines go."""
    seconds = width_at(fitted, "spark") * every_s
    return Row("", heading(fitted, {"spark": "LAST MINUTE" if seconds == 60 else f"LAST {seconds:.0f}s"}))


def state_word(host: HostNow, spec_state: str) -> str:
    """ "up", or what its file or a hold says besides ("cordoned", "drained", "retired")."""
    return spec_state if host.state == "up" and spec_state != "active" else host.state


def full(hosts: Iterable[HostNow], said: Mapping[str, HostState], states: Mapping[str, str]) -> list[Entry]:
    """`said`: what the last status told of them; `states`: what their files or holds say."""
    found: list[Entry] = []
    for host in hosts:
        word = state_word(host, states.get(host.name, "active"))
        gone = host.state != "up"
        if gone or not host.gpus:
            found.append((key_of(host.name), HostRow(_light(host), word, seen(host) if gone else "")))
        for number, gpu in enumerate(host.gpus):
            row = GpuRow(host.name, number == 0 and not gone, gpu, word, gone)
            found.append((key_of(host.name, str(gpu.sample.index)), row))
        found += _notes(host, said.get(host.name))
    return found


def compact(hosts: Iterable[HostNow], said: Mapping[str, HostState], states: Mapping[str, str]) -> list[Entry]:
    found: list[Entry] = []
    for host in hosts:
        word = state_word(host, states.get(host.name, "active"))
        bare = replace(host, heard_s=None, hint=None, gpus=tuple(replace(gpu, history=()) for gpu in host.gpus))
        found.append((key_of(host.name), HostRow(bare, word, "" if host.state == "up" else seen(host))))
        found += _notes(host, said.get(host.name))
    return found


def _light(host: HostNow) -> HostNow:
    """Without what the row does not say, so that it need not be made again when only that changed."""
    return replace(host, heard_s=None, hint=None, gpus=())


def _notes(host: HostNow, said: HostState | None) -> list[Entry]:
    if said is None or host.state != "up":
        return []
    found: list[Entry] = []
    if said.hold:
        found.append((key_of(host.name, "hold"), NoteRow(holding.text(holding.in_words(said.hold)), "warn")))
    for run in said.unfinished:
        if not run.get("alive"):
            text = f"an apply by {run.get('who')} was not finished: 2 plans, and undoes or finishes it"
            found.append((key_of(host.name, "unfinished"), NoteRow(text, "warn")))
    if said.lock:
        text = f"locked by {said.lock.get('who')}, {ago(said.lock.get('since'))}: {said.lock.get('doing') or 'apply'}"
        found.append((key_of(host.name, "lock"), NoteRow(text, "accent")))
    return found


def seen(host: HostNow) -> str:
    """ "last seen 2m14s ago: timed out after 5 s", for a host that is not up."""
    if host.state == "connecting":
        return "nothing heard yet" if host.error is None else f"it does not answer yet: {host.error}"
    when = "never heard since you look on" if host.heard_s is None else f"last seen {age(host.heard_s)} ago"
    return f"{when}: {host.error}" if host.error else when


_STATES = {
    "up": ("deployed", "good"),
    "connecting": ("waiting", "dim"),
    "lost": ("unknown", "warn"),
    "unreachable": ("failed", "bad"),
}


def state_cell(state: str, glyphs: Glyphs) -> Span:
    sign, role = _STATES.get(state, ("deployed", "warn"))
    return (f"{glyphs.states[sign]} {state}", role)


def draw(entry: Entry, fitted: Fitted, glyphs: Glyphs) -> Row:
    key, value = entry
    if isinstance(value, NoteRow):
        return Row(key, line(f"  {glyphs.warn} ", (value.text, value.role)), note=True)
    if isinstance(value, GpuRow):
        return Row(key, lay(fitted, _gpu_cells(value, fitted, glyphs)))
    assert isinstance(value, HostRow)
    if value.seen:
        return Row(key, _gone(value, width_at(fitted, "host"), glyphs))
    return Row(key, lay(fitted, _host_cells(value, fitted, glyphs)))


def _gone(value: HostRow, width: int, glyphs: Glyphs) -> Line:
    """One that is not heard: what there is to say needs the whole line. Its last figures are dim."""
    role = "dim" if value.state == "connecting" else "bold"
    last = f"  {''.join(text for text, _ in blocks(value.host, glyphs))}" if value.host.gpus else ""
    return line(
        (f"{value.host.name:{width}}", role), "  ", state_cell(value.state, glyphs), (last, "dim"), (f"  {value.seen}", "dim")
    )


def _gpu_cells(value: GpuRow, fitted: Fitted, glyphs: Glyphs) -> dict[str, Line]:
    gpu = value.gpu.sample
    share = gpu.memory_used / gpu.memory_total if gpu.memory_total else None
    cells: dict[str, Line] = {
        "host": line((value.host, "bold" if value.first else "dim")),
        "state": line(state_cell(value.state, glyphs)) if value.first else (),
        "gpu": line(str(gpu.index)),
        "model": line((model(gpu.name), "dim")),
        "util": percent(gpu.utilization, glyphs),
        "spark": line(spark(value.gpu.history, width_at(fitted, "spark"), glyphs)),
        "meter": meter(share, width_at(fitted, "meter"), glyphs),
        "memory": _memory(gpu.memory_used, gpu.memory_total),
        "temperature": heat(gpu.temperature, glyphs),
        "replica": line((value.gpu.replica or glyphs.dash, "" if value.gpu.replica else "dim")),
    }
    return {name: _dimmed(cell) for name, cell in cells.items()} if value.stale else cells


def _host_cells(value: HostRow, fitted: Fitted, glyphs: Glyphs) -> dict[str, Line]:
    host = value.host
    used, total = memory(host)
    temperatures = [gpu.sample.temperature for gpu in host.gpus if gpu.sample.temperature is not None]
    load = utilization(host) if host.gpus else None if host.load is None else host.load * 100
    return {
        "host": line((host.name, "bold")),
        "state": line(state_cell(value.state, glyphs)),
        "gpu": line(("CPU", "dim")),
        "gpus": blocks(host, glyphs) if host.gpus else line(("CPU", "dim")),
        "util": percent(load, glyphs),
        "spark": line(("CPU load", "dim")),
        "meter": meter(memory_share(host), width_at(fitted, "meter"), glyphs),
        "memory": _memory(used, total),
        "temperature": heat(max(temperatures), glyphs) if temperatures else (),
        "replica": _replicas(host, glyphs),
    }


def blocks(host: HostNow, glyphs: Glyphs) -> Line:
    """One cell per GPU, shaped and coloured by its utilisation."""
    values = [gpu.sample.utilization for gpu in host.gpus]
    return tuple((block(value, glyphs), load_role(value)) for value in values)


def _memory(used: int | None, total: int | None) -> Line:
    share = used / total * 100 if used is not None and total else None
    return line((gib(used, total), load_role(share, MEMORY) if share is not None else "dim"))


def _replicas(host: HostNow, glyphs: Glyphs) -> Line:
    names: Sequence[str] = list(dict.fromkeys(gpu.replica for gpu in host.gpus if gpu.replica))
    return line(" ".join(names)) if names else line((glyphs.dash, "dim"))


def _dimmed(spans: Line) -> Line:
    return tuple((text, "dim") for text, _ in spans)


def model(name: str) -> str:
    """ "H100 80GB HBM3": without what all names share."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")
