"""The files of a fleet, read once each: bytes → text → tree. Used by `spec.load`."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from deployer.errors import Problem
from deployer.spec.problems import split_lines
from deployer.spec.strict import parse
from deployer.spec.tree import Node

BIGGEST = 1024 * 1024  # bytes
_ENDINGS = (".yaml", ".yml")


class Files:
    """Reads below `root`; names are relative to it, with forward slashes. `problems` collects what cannot be read.
    `instead`: texts that count as if they stood on disk, by name; None: as if that file were not there.
    """

    def __init__(self, root: Path, instead: Mapping[str, str | None] | None = None) -> None:
        self.root = root
        self._instead = instead or {}
        self.texts: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._trees: dict[str, Node | None] = {}

    def tree(self, name: str) -> Node | None:
        """The file's tree; None when it cannot be used (and the reason is among the problems)."""
        if name not in self._trees:
            self._trees[name] = self._read(name)
        return self._trees[name]

    def listing(self, folder: str) -> list[str]:
        """The YAML files of a folder, by name. Hidden ones and other kinds of file are not ours."""
        mine = {name.removeprefix(f"{folder}/"): text for name, text in self._instead.items() if name.startswith(f"{folder}/")}
        drafts = [(name, False) for name, text in mine.items() if text is not None]
        try:
            with os.scandir(self.root / folder) as entries:
                there = [(e.name, e.is_dir()) for e in entries if not e.name.startswith(".") and e.name not in mine]
                found = sorted([*there, *drafts])
        except FileNotFoundError:
            found = sorted(drafts)
        except OSError as error:
            self._problem(folder, f"cannot be listed: {error.strerror}")
            return []
        for name, is_folder in found:
            if is_folder and any(child.suffix in _ENDINGS for child in _children(self.root / folder / name)):
                self._problem(f"{folder}/{name}", f"YAML files in a folder of {folder}/ are not read", f"move them to {folder}/")
        return [f"{folder}/{name}" for name, is_folder in found if not is_folder and name.endswith(_ENDINGS)]

    def inside(self, base: str, reference: str) -> str | None:
        """A path as written in the file `base`, as a name below the root; None when it leaves the fleet, links included."""
        if PurePosixPath(reference).is_absolute() or "\0" in reference:
            return None
        name = os.path.normpath(PurePosixPath(base).parent / reference)
        if name.split("/")[0] == "..":
            return None
        real, root = os.path.realpath(self.root / name), os.path.realpath(self.root)
        return name if real == root or real.startswith(root + os.sep) else None

    def _problem(self, name: str, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(name, 0, 0, message, hint))

    def _read(self, name: str) -> Node | None:
        text = self._text(name)
        if text is None:
            return None
        self.texts[name] = text
        tree, problems = parse(text, name)
        self.problems += problems
        if tree is None and not problems or tree is not None and tree.value is None and not problems:
            self._problem(name, "the file is empty", "write it, or remove it")
        return None if tree is None or tree.value is None else tree

    def _text(self, name: str) -> str | None:
        instead = self._instead.get(name)
        if instead is not None:
            return instead
        path = self.root / name
        try:
            if not path.is_file():
                self._problem(name, "is not a file" if path.exists() else "there is no such file")
                return None
            with path.open("rb") as stream:
                raw = stream.read(BIGGEST + 1)
        except (OSError, ValueError) as error:
            self._problem(name, f"cannot be read: {getattr(error, 'strerror', None) or 'its name is not usable'}")
            return None
        if len(raw) > BIGGEST:
            self._problem(name, "is larger than 1 MiB")
            return None
        return self._decoded(name, raw)

    def _decoded(self, name: str, raw: bytes) -> str | None:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            before = split_lines(raw[: error.start].decode("utf-8"))
            message = f"is not UTF-8: byte 0x{raw[error.start]:02x}"
            self.problems.append(Problem(name, len(before), len(before[-1]) + 1, message, "save the file as UTF-8"))
            return None


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
