"""What the apply's place shows, from the board of an operation. Pure: values in, lines and rows out.

Failed steps first, then those that run, then what waits; what is done is one line. So what moves is always in sight.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.app.board import Board, HostRow, View, amount
from deployer.app.steprows import StepRow, Waiting
from deployer.app.times import clock
from deployer.plan.words import count
from deployer.tui.glyphs import STATE_ROLES, Glyphs
from deployer.tui.line import Line, Span, clean, columns, line
from deployer.tui.widgets.rows import Row

#: Lines of what waits, and of what is done when it is unfolded.
MOST_WAITING = 200
MOST_ENDED = 1000

#: What folds into one line: state → how the line says it.
FOLDS = {"done": "done", "undone": "put back", "skipped": "not begun", "left": "left to the host"}

#: Words of a host that needs a person's eye.
_TROUBLE = {"lost": "connection lost, trying again; its run goes on there", "refused": "refused"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """How it is drawn: `width` in cells, which folds are open."""

    glyphs: Glyphs
    width: int
    open: Collection[str] = field(default_factory=frozenset)

    @property
    def label(self) -> int:
        return max(22, min(46, self.width * 2 // 5))

    @property
    def host(self) -> int:
        return 10 if self.width < 100 else 14


def heading(drawing: Drawing) -> Row:
    cells = [(line("  STEP"), drawing.label + 2), (line("HOST"), drawing.host), (line("WHAT IT DOES"), 12)]
    return Row("head", columns(cells), line("TIME"))


def progress(view: View, seconds: float, state: str, drawing: Drawing) -> Line:
    """ "██████░░░░  7 of 11 steps · 1 failed · 2:41 · 3 hosts at work"."""
    glyphs, done = drawing.glyphs, view.counts["done"]
    said = _STATE_WORDS.get(state)
    parts: list[Line] = [line((said, "warn"))] if said else []
    if view.total:
        wide = 20 if drawing.width >= 100 else 10
        full = wide * done // view.total
        parts.append(line((glyphs.full * full, "good"), (glyphs.rest * (wide - full), "dim"), f" {done} of {view.total} steps"))
    else:
        parts.append(line(f"{count(done, 'step')} done"))
    if view.failed:
        parts.append(line((f"{glyphs.bad} {len(view.failed)} failed", "bad")))
    parts.append(line(clock(seconds)))
    at_work = sum(1 for host in view.hosts if not host.ended)
    if at_work:
        parts.append(line(f"{count(at_work, 'host')} at work"))
    return _joined(parts, glyphs)


def phases(view: View, drawing: Drawing) -> Line:
    """ "✓ artifacts  wave 2 of 3  ✓ drain  ▶ start 1/4  ◌ switch  ◌ let go": where the apply is. Empty: not known here."""
    if not view.phases:
        return ()
    last = view.phases[-1].wave
    wave = next((one.wave for one in view.phases if one.wave and not one.ended), last)
    found: list[Span] = []
    for one in view.phases:
        if one.wave not in (0, wave):
            continue
        if one.wave and last > 1 and not any(text.startswith("wave ") for text, _ in found):
            found.append((f"wave {wave} of {last}  ", "bold"))
        going = one.state == "running"
        so_far = f" {one.counts.get('done', 0)}/{one.total}" if going else ""
        glyph = drawing.glyphs.states.get(one.state, drawing.glyphs.dash)
        found.append((f"{glyph} {one.part}{so_far}  ", "accent bold" if going else STATE_ROLES.get(one.state, "dim")))
    return tuple(found)


_STATE_WORDS = {
    "pausing": "pausing: the running steps are finished first",
    "paused": "paused: p goes on",
    "stopping": "stopping: the running steps are finished first",
}


def _joined(parts: Iterable[Line], glyphs: Glyphs) -> Line:
    found: list[Span] = []
    for part in parts:
        found += [(f" {glyphs.dot} ", "dim"), *part] if found else part
    return tuple(found)


def rows(board: Board, view: View, drawing: Drawing) -> list[Row]:
    """While it goes on."""
    found = [_trouble(host, drawing) for host in view.hosts if host.state in _TROUBLE]
    for step in view.failed:
        found += failed(step, board, drawing)
    found += [running(step, board, drawing) for step in view.running]
    found += [_waiting(one, board, drawing) for one in view.waiting]
    if view.more:
        found.append(Row("more", line((f"{drawing.glyphs.states['waiting']} {view.more} more steps wait", "dim")), note=True))
    return [*found, *folds(board, view.counts, drawing)]


def folds(board: Board, counts: Mapping[str, int], drawing: Drawing) -> Iterator[Row]:
    """Each kind of ended steps in one line, with its steps below when it is unfolded, the newest first."""
    for state, words in FOLDS.items():
        if not counts[state]:
            continue
        unfolded = state in drawing.open
        glyph = drawing.glyphs.states.get(state, drawing.glyphs.dash)
        how = "z folds" if unfolded else "z unfolds"
        text = line((f"{glyph} ", STATE_ROLES.get(state, "dim")), f"{count(counts[state], 'step')} {words}", (f"  {how}", "dim"))
        yield Row(f"fold:{state}", text)
        if unfolded:
            yield from (_ended(step, board, drawing, state) for step in board.ended(state, MOST_ENDED))


def _cells(glyph: Span, label: Line, host: str, note: Line, drawing: Drawing) -> Line:
    left = columns([((glyph, *label), drawing.label + 2), (line(clean(host)), drawing.host)])
    return (*left, ("  ", ""), *note)


def running(step: StepRow, board: Board, drawing: Drawing) -> Row:
    seconds = step.seconds(board.now(step.host)) or 0.0
    host = board.hosts.get(step.host)
    data = host.data if step.brought and host is not None else step.data
    said = [text for text in (_turn(step), clean(step.phase), amount(data)) if text]
    note = (("running", "accent"), *_bar(data, drawing), (f"  {'  '.join(said)}" if said else "", ""))
    about = f" of about {clock(step.expected_s)}" if step.expected_s else ""
    glyph = (f"{drawing.glyphs.states['running']} ", "accent")
    return Row(step.key, _cells(glyph, line((clean(step.label), "bold")), step.host, note, drawing), line(clock(seconds) + about))


def _turn(step: StepRow) -> str:
    """ "wave 2, drain" from the second wave on: what is done before goes without saying."""
    return f"wave {step.wave}, {step.part}" if step.wave > 1 else step.part


def _bar(data: Mapping[str, Any], drawing: Drawing) -> Line:
    done, total = data.get("done"), data.get("total")
    if drawing.width < 100 or not total or done is None:
        return ()
    full = min(10, int(10 * float(done) / float(total)))
    return line("  ", (drawing.glyphs.full * full, "accent"), (drawing.glyphs.rest * (10 - full), "dim"))


def failed(step: StepRow, board: Board, drawing: Drawing) -> list[Row]:
    note = line(("failed", "bad"), f"  {clean(step.message)}")
    glyph = (f"{drawing.glyphs.states['failed']} ", "bad")
    took = step.seconds(board.now(step.host))
    found = [
        Row(
            step.key,
            _cells(glyph, line((clean(step.label), "bold")), step.host, note, drawing),
            line(clock(took)) if took is not None else (),
        )
    ]
    for name in ("cause", "hint"):
        if step.data.get(name):
            said = line((f"    {'do' if name == 'hint' else name:<7}", "dim"), clean(str(step.data[name])))
            found.append(Row(f"{step.key}#{name}", said, note=True))
    return found


def _waiting(one: Waiting, board: Board, drawing: Drawing) -> Row:
    label = line(clean(one.first.belongs_to), (f"  {count(one.steps, 'step')}", "dim"))
    note = line(("waiting", "dim"), (f"  for {clean(board.waits_for(one.first))}", "dim"))
    glyph = (f"{drawing.glyphs.states['waiting']} ", "dim")
    return Row(f"wait:{one.first.host}/{one.first.transaction}", _cells(glyph, label, one.first.host, note, drawing))


def _ended(step: StepRow, board: Board, drawing: Drawing, state: str) -> Row:
    took = step.seconds(board.now(step.host))
    glyph = (f"{drawing.glyphs.states.get(state, drawing.glyphs.dash)} ", STATE_ROLES.get(state, "dim"))
    note = line((FOLDS[state], "dim"), (f"  {clean(step.message)}" if step.message else "", "dim"))
    right = line((clock(took), "dim")) if took is not None and state != "left" else ()
    return Row(step.key, _cells(glyph, line((clean(step.label), "dim")), step.host, note, drawing), right)


def _trouble(host: HostRow, drawing: Drawing) -> Row:
    glyph = (f"{drawing.glyphs.warn} ", "warn")
    note = line((_TROUBLE[host.state], "warn"), f"  {clean(host.message)}" if host.state == "refused" else "")
    return Row(f"host:{host.host}", _cells(glyph, line("its run"), host.host, note, drawing))
