"""Figures: what the engines tell of themselves, in total and replica by replica, with their last minutes."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult

from deployer.app.looking import Figures as Now
from deployer.plan.words import duration
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, columns, line
from deployer.tui.meters import block
from deployer.tui.tabs.tab import Tab
from deployer.tui.widgets.rowlist import Row, RowList

#: One mark of a sparkline stands for so many seconds; so many marks are kept.
SLOT_S = 3.0
SLOTS = 300


class _Figure(NamedTuple):
    """`full`: the value that a mark of full height stands for; None: the highest one in sight."""

    name: str
    field: str
    factor: float
    unit: str
    full: float | None = None


_FIGURES = (
    _Figure("requests", "requests_s", 1, "/s"),
    _Figure("first token p95", "ttft_p95_s", 1000, "ms"),
    _Figure("tokens", "tokens_s", 1, "/s"),
    _Figure("KV cache", "kv_cache", 100, "%", 100.0),
    _Figure("running", "running", 1, ""),
    _Figure("queue", "queue", 1, ""),
)


class Figures(Tab):
    """Kept from when the place was opened; nothing before that is known here."""

    KEY = "m"
    NAME = "Figures"
    FILTERS: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, deque[Now | None]] = {}
        self._slot: int | None = None
        self._tick: int | None = None

    def compose(self) -> ComposeResult:
        yield RowList(classes="-quiet")

    def opened(self) -> None:
        self.draw()

    def heard(self) -> None:
        """Once a tick, in sight or not: the last value of each slot is kept, and a gap where nothing was told."""
        slot = int(self.main.clock() / SLOT_S)
        steps = SLOTS if self._slot is None else min(SLOTS, slot - self._slot)
        figures = self.main.now.figures
        for name in self._names():
            kept = self._kept.setdefault(name, deque(maxlen=SLOTS))
            if steps or not kept:
                kept.extend([None] * (min(steps, 1) if self._slot is None else max(1, steps)))
            if name in figures:
                kept[-1] = figures[name]
        self._slot = slot

    def look(self) -> None:
        if self.main.now.tick != self._tick:
            self._tick = self.main.now.tick
            self.draw()

    def _names(self) -> list[str]:
        name, state = self.place.deployment, self.place.state
        replicas = [f"{name}/{one.slot}" for one in state.replicas] if state is not None else []
        return [name, *replicas] if len(replicas) > 1 else [name]

    def draw(self) -> None:
        rows = self.query_one(RowList)
        drawn = [Row(key, spans) for key, spans in self._lines()]
        rows.say_empty(self._why_none())
        if drawn != rows.rows:
            rows.show(drawn)

    def _why_none(self) -> str:
        state = self.place.state
        if state is None:
            return "asking the hosts …"
        if state.state in ("stopped", "pending", "failed"):
            return f"no figures: it is {state.state}"
        phases = [now.phase for now in self.main.now.figures.values() if now.phase]
        return f"no figures: its engine is starting, {phases[0]}" if phases else "no figures: its engine tells none (yet)"

    def _lines(self) -> Iterator[tuple[str, Line]]:
        width = max(10, min(SLOTS, self.size.width - 32))
        names = [name for name in self._names() if any(_tells(one) for one in self._kept.get(name, ()))]
        for number, name in enumerate(names):
            if number:
                yield f"gap {name}", ()
            span = duration(width * SLOT_S)
            total = "  all replicas" if len(names) > 1 and name == self.place.deployment else ""
            yield name, line((name, "bold"), total, (f"   last {span}, {SLOT_S:g} s a mark", "dim"))
            for figure in _FIGURES:
                yield f"{name} {figure.name}", self._row(figure, self._kept[name], width)

    def _row(self, figure: _Figure, kept: Sequence[Now | None], width: int) -> Line:
        values = [_value(figure, one) for one in kept][-width:]
        now = values[-1] if values else None
        glyphs = self.main.glyphs
        said = f"{now:.0f}" if now is not None and (now >= 100 or not figure.unit) else f"{now:.1f}" if now is not None else ""
        value = line(f"{said} {figure.unit}" if said else (glyphs.dash, "dim"))
        marks = line((_marks(values, figure.full, glyphs).rjust(width), "accent"))
        return columns([(line((f"  {figure.name}", "dim")), 18), (value, -10), (marks, width)], gap=1)


def _tells(one: Now | None) -> bool:
    return one is not None and any(getattr(one, figure.field) is not None for figure in _FIGURES)


def _value(figure: _Figure, one: Now | None) -> float | None:
    value = getattr(one, figure.field) if one is not None else None
    return None if value is None else float(value) * figure.factor


def _marks(values: Sequence[float | None], full: float | None, glyphs: Glyphs) -> str:
    top = full or max((value for value in values if value is not None), default=0.0) or 1.0
    return "".join(" " if value is None else block(min(100.0, value * 100 / top), glyphs) for value in values)
