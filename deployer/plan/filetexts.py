"""The files that a change writes or removes on its host, or in which two revisions differ, before and after, line by line.
Pure: they are in the plan and in the record, with secrets only named. Used by the front ends.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deployer.plan.model import Change
from deployer.state.resources import Resource


@dataclass(frozen=True, slots=True)
class FileText:
    """One file. `before` None: it is new; `after` None: it goes. `was`: its path before, where that is another."""

    path: str
    before: str | None
    after: str | None
    was: str | None = None


@dataclass(frozen=True, slots=True)
class DiffLine:
    """`mark`: " ", "-", "+", or "…" for lines that are the same and left out; their number is `text` then."""

    mark: str
    text: str


def written(change: Change) -> tuple[FileText, ...]:
    """Files whose text this change makes another."""
    return differing(change.before, change.after)


def differing(old: Resource | None, new: Resource | None) -> tuple[FileText, ...]:
    """Files whose text differs. A unit's name holds a digest of what runs, so that it has another path when that
    changes: it is compared with the file whose place it takes.
    """
    before, after = _texts(old), _texts(new)
    pairs = [(path, path) for path in after if path in before]
    left = [path for path in before if path not in after]
    for path in after:
        if path not in before:
            earlier = next((one for one in left if _role(one) == _role(path)), None)
            if earlier is not None:
                left.remove(earlier)
            pairs.append((earlier or "", path))
    found = [FileText(p, before.get(was), after[p], was if was and was != p else None) for was, p in pairs]
    gone = [FileText(path, before[path], None) for path in left]
    return tuple(one for one in (*found, *gone) if one.before != one.after)


def compared(file: FileText, context: int | None = 3) -> Iterator[DiffLine]:
    """The lines that differ, with `context` lines around them; None: all lines."""
    old, new = (file.before or "").splitlines(), (file.after or "").splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    reach = max(len(old), len(new)) if context is None else context
    done = 0
    for hunk in matcher.get_grouped_opcodes(reach):
        yield from _left_out(hunk[0][1] - done)
        for tag, i1, i2, j1, j2 in hunk:
            if tag == "equal":
                yield from (DiffLine(" ", text) for text in old[i1:i2])
                continue
            yield from (DiffLine("-", text) for text in old[i1:i2])
            yield from (DiffLine("+", text) for text in new[j1:j2])
        done = hunk[-1][2]
    yield from _left_out(len(old) - done)


def _left_out(number: int) -> Iterator[DiffLine]:
    if number > 0:
        yield DiffLine("…", str(number))


def _texts(resource: Resource | None) -> Mapping[str, str]:
    files = resource.payload.get("files", ()) if resource is not None else ()
    return {str(file["path"]): str(file["content"]) for file in files if "content" in file}


def _role(path: str) -> str:
    """What a file is for, whatever digest is in its path: its name, or for a unit its kind."""
    name = path.rpartition("/")[2]
    return ".service" if name.endswith(".service") else name
