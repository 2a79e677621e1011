"""All GPUs of the fleet at a glance: one cell each, hosts beside each other, grouped by their labels. Pure drawing of values.
Used by the fleet's place for hundreds of GPUs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deployer.app.looking import HostNow
from deployer.tui.fleetquery import mean, utilization
from deployer.tui.glyphs import Glyphs
from deployer.tui.hostrows import blocks
from deployer.tui.line import Line, Span, line
from deployer.tui.meters import UTILIZATION, block, load_role
from deployer.tui.widgets.rows import Entry, Row


@dataclass(frozen=True, slots=True)
class MapRow:
    """Hosts side by side. `chosen`: the one the cursor is on, when it is in this row. `named`: each with its name."""

    hosts: tuple[HostNow, ...]
    chosen: str | None
    name_width: int
    gpu_width: int
    named: bool


@dataclass(frozen=True, slots=True)
class Title:
    text: str


@dataclass(frozen=True, slots=True)
class Map:
    """`places`: key of a row → the names of its hosts, from left to right."""

    entries: list[Entry]
    places: Mapping[str, tuple[str, ...]]


def heat_map(hosts: Sequence[HostNow], labels: Mapping[str, str], width: int, height: int, chosen: str | None) -> Map:
    """`labels`: of each host, as text. Names stand beside every host where the height has room for that."""
    groups: dict[str, list[HostNow]] = {}
    for host in hosts:
        groups.setdefault(labels.get(host.name, ""), []).append(_bare(host))
    name = max((len(host.name) for host in hosts), default=4)
    gpus = max((max(1, len(host.gpus)) for host in hosts), default=1)
    titles = len(groups) if any(groups) else 0
    with_names = max(1, (width + 3) // (name + gpus + 4))
    named = titles + sum(-(-len(group) // with_names) for group in groups.values()) <= height
    across = with_names if named else max(1, (width - name - 2) // (gpus + 1))
    entries: list[Entry] = []
    places: dict[str, tuple[str, ...]] = {}
    for label, group in groups.items():
        if titles:
            entries.append((f"label {label}", Title(_title(label or "no labels", group))))
        for start in range(0, len(group), across):
            some = tuple(group[start : start + across])
            key = f"row {label} {start}"
            places[key] = tuple(host.name for host in some)
            entries.append((key, MapRow(some, chosen if chosen in places[key] else None, name, gpus, named)))
    return Map(entries, places)


def _bare(host: HostNow) -> HostNow:
    """Only what the map says, so that equal rows are not made again."""
    gpus = tuple(replace(gpu, history=()) for gpu in host.gpus)
    return replace(host, heard_s=None, hint=None, error=None, memory_available=None, gpus=gpus)


def _title(label: str, group: Sequence[HostNow]) -> str:
    count = sum(len(host.gpus) for host in group)
    load = mean(utilization(host) for host in group if host.state == "up")
    return f"{label}   {len(group)} hosts, {count} GPUs" + (f", {load:.0f}% used" if load is not None else "")


def head(glyphs: Glyphs) -> Row:
    """What the cells mean."""
    low, high = UTILIZATION
    marks: list[str | Span] = ["HOSTS x GPUS   utilisation "]
    for value, text in ((0, f"idle below {low}%"), ((low + high) // 2, "working"), (high + 20, f"busy from {high}%")):
        marks += [(block(value, glyphs), load_role(value)), f" {text}  "]
    marks += [f"{glyphs.dot} not told  ", (glyphs.bad, "bad"), " not heard, last figures dim"]
    return Row("", line(*marks))


def draw(entry: Entry, glyphs: Glyphs) -> Row:
    key, value = entry
    if isinstance(value, Title):
        return Row(key, line((value.text, "bold")), note=True)
    assert isinstance(value, MapRow)
    found: list[Span] = []
    if not value.named:
        found.append((f"{(value.chosen or value.hosts[0].name):{value.name_width}}  ", "bold" if value.chosen else "dim"))
    for host in value.hosts:
        chosen = host.name == value.chosen
        if value.named:
            role = "match" if chosen else "" if host.state == "up" else "dim"
            found += [(f"{host.name:{value.name_width}}", role), (" ", "")]
        cells = _cells(host, glyphs)
        found += [(text, f"{role} match" if chosen and not value.named else role) for text, role in cells]
        blank = value.gpu_width - sum(len(text) for text, _ in cells)
        found.append((" " * (blank + (3 if value.named else 1)), ""))
    return Row(key, tuple(found))


def _cells(host: HostNow, glyphs: Glyphs) -> Line:
    if host.state == "connecting":
        return line((glyphs.states["waiting"], "dim"))
    if not host.gpus:
        load = None if host.load is None else host.load * 100
        return line((block(load, glyphs), load_role(load)) if host.state == "up" else (glyphs.bad, "bad"))
    if host.state != "up":
        return line((glyphs.bad, "bad"), *((text, "dim") for text, _ in blocks(host, glyphs)[1:]))
    return blocks(host, glyphs)
