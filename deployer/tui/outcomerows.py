"""The last screen of an apply: what came of it on each host, what failed and what to do about it, what can be tried now. Pure."""

from collections.abc import Iterator

from deployer.app.operation import Operation
from deployer.app.outcome import FINE, host_words, left_off, summary, told
from deployer.app.values import Endpoint, HostReport
from deployer.tui.applyrows import Drawing, folds
from deployer.tui.line import Line, clean, line
from deployer.tui.widgets.rows import Row


def title(operation: Operation, drawing: Drawing) -> Line:
    """ "✓ done: 2 hosts: 2 done · 1:04"."""
    glyphs = drawing.glyphs
    if operation.error is not None:
        said = "it did not come to an end" if operation.board.hosts else "nothing was begun"
        return line((f"{glyphs.bad} {said}: ", "bad"), clean(operation.error.what))
    if operation.report is None:
        return ()
    said = summary(operation.report).replace("·", glyphs.dot)
    if operation.state == "detached":
        return line((f"{glyphs.dash} left to the hosts: ", "warn"), said, ("  t attaches again", "dim"))
    good = operation.report.exit_code == 0
    return line((f"{glyphs.good} done: " if good else f"{glyphs.bad} not all was done: ", "good" if good else "bad"), said)


def rows(operation: Operation, drawing: Drawing) -> list[Row]:
    """Failures first, then hosts, then what answers, then the steps, folded."""
    found: list[Row] = []
    if operation.error is not None and operation.error.hint:
        found += _notes("error", [("next", operation.error.hint)])
    report = operation.report
    if report is not None:
        for number in range(len(report.failures)):
            found += _failure(operation, number, drawing)
        for host in report.hosts.values():
            if host.result != "unchanged":
                found += _host(host, drawing)
        found += [_note(number, note, drawing) for number, note in enumerate(report.notes)]
        found += [_answers(one, drawing) for one in operation.endpoints.values()]
        found += [_canary(name, good, drawing) for name, good in operation.canaries.items()]
    view = operation.board.view(0)
    return [*found, *folds(operation.board, view.counts, drawing)]


def _failure(operation: Operation, number: int, drawing: Drawing) -> Iterator[Row]:
    assert operation.report is not None
    found = told(operation.report.failures[number], operation.fleet.loaded)
    yield Row(f"failure:{number}", line((f"{drawing.glyphs.bad} ", "bad"), (clean(found.what), "bold")))
    said = [("cause", found.cause), ("do", found.do), ("now", found.now), ("log", found.command)]
    yield from _notes(f"failure:{number}", [(name, text) for name, text in said if text])


def _host(host: HostReport, drawing: Drawing) -> Iterator[Row]:
    fine = host.result in FINE
    glyph = (f"{drawing.glyphs.good if fine else drawing.glyphs.bad} ", "good" if fine else "bad")
    if host.result == "detached":
        glyph = (f"{drawing.glyphs.dash} ", "warn")
    yield Row(f"host:{host.name}", line(glyph, (f"{clean(host.name):<{drawing.host}}", "bold"), f"  {clean(host_words(host))}"))
    said = [("", text) for text in left_off(host)] if host.result == "stopped" else []
    yield from _notes(f"host:{host.name}", [*said, *([("next", host.hint)] if host.hint else [])])


def _note(number: int, said: str, drawing: Drawing) -> Row:
    return Row(f"note:{number}", line((f"{drawing.glyphs.dash} ", "warn"), clean(said)))


def _answers(one: Endpoint, drawing: Drawing) -> Row:
    where = f" on {one.gateway} alone" if one.loopback else ""
    text = line((f"{drawing.glyphs.arrow} ", "accent"), (clean(one.name), "bold"), f" answers at {clean(one.url)}{where}")
    return Row(f"answers:{one.name}", text, line(("enter opens it, c copies", "dim")))


def _canary(name: str, good: bool, drawing: Drawing) -> Row:
    """One that stands now waits for somebody, also where the files say that a good one goes on by itself: here a person looks."""
    said = "it was watched and is no worse" if good else "nothing is decided yet"
    text = line((f"{drawing.glyphs.arrow} ", "accent"), "a canary of ", (clean(name), "bold"), f" stands; {said}")
    return Row(f"canary:{name}", text, line(("enter opens it: P promotes, B reverts", "dim")))


def _notes(key: str, said: list[tuple[str, str]]) -> Iterator[Row]:
    for number, (name, text) in enumerate(said):
        yield Row(f"{key}#{number}", line((f"    {name:<7}", "dim"), clean(text)), note=True)
