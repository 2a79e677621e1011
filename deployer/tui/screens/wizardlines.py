"""What the wizard's lines say: steps, notes beside fields, hosts with what is free, the file under review. Pure."""

from collections.abc import Collection, Sequence

from deployer.app.catalog import Shelved
from deployer.app.catalogfits import Fits, named, needed, words
from deployer.app.draft import Checked
from deployer.app.form import Asked
from deployer.app.free import Room
from deployer.errors import Problem
from deployer.plan.words import size
from deployer.tui.glyphs import Glyphs
from deployer.tui.line import Line, Span, clean, columns, line
from deployer.tui.widgets.rowlist import Row

#: How short words of the form are said.
WORDS = {"catalog": "the catalogue", "repo": "hub repository", "path": "folder of this fleet", "host_path": "path on the hosts"}


def step_line(steps: Sequence[str], current: str, bad: Collection[str], glyphs: Glyphs) -> Line:
    found: list[Span] = []
    for number, step in enumerate(steps, 1):
        role = "bold reverse" if step == current else "bad" if step in bad else "dim"
        mark = f"{glyphs.bad} " if step in bad else ""
        found += [(f" {mark}{number} {step} ", role.replace("reverse", "match")), (glyphs.crumb, "dim")]
    return tuple(found[:-1])


def field_note(one: Asked, text: str, problem: Problem | None, glyphs: Glyphs) -> Line:
    """Beside the field: what is wrong, else that it is needed, else what it is about."""
    if problem is not None and text:
        return line((f"{glyphs.bad} {clean(problem.message)}", "bad"))
    if one.needed and not text:
        return line(("needed", "bad" if problem else "warn"), (f"  {one.about}", "dim"))
    return line((one.about, "dim"))


def field_about(one: Asked, problem: Problem | None, glyphs: Glyphs, guidance: str | None = None) -> list[Line]:
    """Below the form, for the field that has the focus: three lines at most."""
    first = guidance or one.about
    takes = [f"takes {one.wanted}"] if one.wanted else []
    takes += [f"left out: {one.default}"] if one.default and one.kind != "fork" else []
    found = [line((f"{one.label}  ", "bold"), first)]
    found += [line((f" {glyphs.dot} ".join(takes), "dim"))] if takes else []
    if problem is not None:
        hint = f"  {problem.hint}" if problem.hint else ""
        found.append(line((clean(problem.message), "bad"), clean(hint)))
    return found


def room_row(room: Room, chosen: bool) -> Row:
    mark = "[x] " if chosen else "[ ] "
    left = columns([(line((mark, "good" if chosen else "dim"), (room.host, "bold")), 24), (_gpus(room), 30), (_cards(room), 30)])
    right = line((f"{size(room.memory_free)} of its memory free", "dim")) if room.memory_free is not None else ()
    return Row(room.host, left, right)


def _gpus(room: Room) -> Line:
    if not room.heard:
        return line(("not heard yet", "warn"))
    if not room.gpus:
        return line(("no GPUs", "dim"))
    return line((f"{len(room.free)} of {len(room.gpus)} GPUs free", "good" if room.free else "warn"))


def _cards(room: Room) -> Line:
    if not room.free:
        return ()
    names = sorted({gpu.sample.name for gpu in room.free})
    return line((f"{size(room.gpu_bytes)}  {', '.join(names)}", "dim"))


def rooms_head(chosen: Collection[str]) -> Row:
    said = f"replicas stand on {', '.join(chosen)}" if chosen else "replicas stand on any host; space chooses some"
    return Row("head", line(said))


_CATALOG = (("NAME", 31), ("FITS", 21), ("PARAMETERS", 10), ("KIND", 11), ("CONTEXT", 7), ("LICENCE", 16), ("ENGINES", 20))


def catalog_head() -> Row:
    return Row("head", columns([(line((text, "bold dim")), width) for text, width in _CATALOG]))


def catalog_words(shelf: Shelved) -> str:
    """What is searched for the words that are typed."""
    entry = shelf.entry
    gated = "gated" if entry.gated else ""
    said = (entry.name, entry.kind, entry.parameters or "", str(entry.context or ""), entry.license or "", gated, *entry.engines)
    return " ".join(said).lower()


def catalog_row(shelf: Shelved, fits: Fits | None, *, chosen: bool, asking: bool, glyphs: Glyphs) -> Row:
    """A model of the catalogue, as `deployer models` says it, and the hosts that could serve it."""
    entry = shelf.entry
    name = line(("* " if chosen else "", "good"), (entry.name, "bold"))
    licence = f"{entry.license or '–'}{' gated' if entry.gated else ''}"
    cells = (entry.parameters or "–", entry.kind, str(entry.context or "–"), licence, ", ".join(entry.engines))
    told = [line(clean(cell)) for cell in cells]
    shown = _fits(fits, glyphs) if fits is not None else line((glyphs.fold if asking else "–", "dim"))
    return Row(entry.name, columns(zip((name, shown, *told), (width for _, width in _CATALOG), strict=True)))


def _fits(fits: Fits, glyphs: Glyphs) -> Line:
    if fits.hosts:
        return line((f"{glyphs.good} ", "good"), clean(named(fits.hosts)))
    if fits.shorter:
        return line((f"{glyphs.good} ", "warn"), f"to {fits.context} tokens")
    if fits.weights:
        return line(("? ", "warn"), clean(named(fits.weights)))
    if fits.computed:
        needs = needed(fits)
        return line((f"{glyphs.bad} ", "bad"), needs or "no host")
    return line((fits.lacks, "dim"))


def catalog_about(shelf: Shelved, fits: Fits | None, glyphs: Glyphs) -> list[Line]:
    """Of the entry under the cursor: what it is, where it is from, where it fits."""
    entry = shelf.entry
    gate = f"; accept {entry.license or 'its licence'} at its page, and say so under licence" if entry.gated else ""
    found = [
        line((f"{entry.name}  ", "bold"), clean(entry.about)),
        line((clean(f"{entry.repo}{gate}"), "warn" if gate else "dim")),
    ]
    if fits is not None:
        role = "good" if fits.hosts else "warn" if fits.shorter else "bad" if fits.computed else "dim"
        said = words(fits)
        why = f" {glyphs.dot} {fits.why}" if fits.why and fits.why not in said else ""
        found.append(line((clean(said), role), (clean(why), "dim")))
    return [*found, *(line((clean(one), "dim")) for one in entry.guidance[:1])]


def review_rows(checked: Checked, glyphs: Glyphs, *, there: bool) -> list[Row]:
    """The problems, each with the key of its field where it has one, then the file."""
    fields = {(p.line, p.column, p.message): key for key, p in checked.by_key.items()}
    rows = []
    for number, problem in enumerate(checked.problems):
        key = fields.get((problem.line, problem.column, problem.message), "")
        hint = f"  {problem.hint}" if problem.hint else ""
        said = line((f"{glyphs.bad} {clean(problem.where)}: ", "bad"), clean(problem.message), (clean(hint), "dim"))
        rows.append(Row(f"problem:{number}:{key}", said))
    state = "written" if there else "will be written"
    rows.append(Row("file", line((checked.file, "bold"), (f"  {state}", "dim"))))
    rows += [Row(f"line:{n}", _text(n, text)) for n, text in enumerate(checked.text.splitlines(), 1)]
    return rows


def _text(number: int, text: str) -> Line:
    said, hash_, comment = text.partition("   # ") if not text.startswith("#") else ("", "", text)
    return line((f"{number:>4}  ", "dim"), clean(said), (clean(f"{hash_}{comment}"), "dim"))
