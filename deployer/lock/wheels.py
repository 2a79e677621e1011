"""Finds again the wheels that the lock says are pushed from this machine. Called by the executor."""

import hashlib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin

from deployer.errors import LockfileError
from deployer.lock.indexes import local_path


def find(name: str, sha256: str, *places: str) -> Path:
    """The wheel `name` with that digest, in folders or file: indexes (`Indexes.places`).

    Raises LockfileError when it is nowhere, and when only a wheel with other bytes is there.
    """
    other: Path | None = None
    for candidate in _candidates(name, places):
        if not candidate.is_file():
            continue
        if _sha256(candidate) == sha256:
            return candidate
        other = candidate
    if other is not None:
        hint = "bring the locked wheel back, or run `deployer lock --upgrade` and review the difference"
        raise LockfileError(f"the wheel {name} is not the one that was locked: its digest differs", where=str(other), hint=hint)
    looked = ", ".join(places) or "no folder is named"
    hint = f"put it into a folder that packages.find_links names (looked in: {looked})"
    raise LockfileError(f"the wheel {name} is not on this machine", where="deployer.lock", hint=hint)


def _candidates(name: str, places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        folder = local_path(place)
        if folder is None:
            continue
        yield folder if folder.name == name else folder / name
        yield from _indexed(folder / re.sub(r"[-_.]+", "-", name.split("-")[0]).lower(), name)


def _indexed(project: Path, name: str) -> Iterator[Path]:
    """Links of a project's page in a file: index."""
    try:
        page = (project / "index.html").read_text()
    except OSError:
        return
    base = (project / "index.html").absolute().as_uri()
    for link in re.findall(r"""href\s*=\s*["']([^"']+)["']""", page):
        path = local_path(urljoin(base, unescape(link).partition("#")[0]))
        if path is not None and unquote(path.name) == name:
            yield path


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
