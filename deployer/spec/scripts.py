"""The files that `handler:` names: read, looked at, digested. Called by spec.load, so that a wrong script is a problem with its
line before anything moves.
"""

import ast
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from deployer.errors import Problem
from deployer.spec.explain import shown
from deployer.spec.files import Files
from deployer.spec.handler import Found, HandlerSpec, Pin, ScriptFile
from deployer.spec.models import DeploymentSpec
from deployer.spec.problems import problem, split_lines
from deployer.spec.tree import Node, get

BIGGEST = 64 * 1024 * 1024  # bytes of all files: what is larger is a model
METHODS = {"predictor": ("predict",), "transformer": ("preprocess", "postprocess", "postprocess_chunk")}
COMMAND = "uv pip compile --generate-hashes requirements.in -o {file}"

_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._ -]+\])?\s*==\s*[^\s;*]+(?:\s*;[^#]*?)?)((?:\s+--hash=\S+)*)\s*(?:#.*)?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?!\S)")


class Scripts:
    """Reads for one deployment. `problems` collects what is wrong."""

    def __init__(self, files: Files, tree: Node) -> None:
        self._files, self._tree = files, tree
        self.problems: list[Problem] = []

    def read(self, spec: DeploymentSpec) -> DeploymentSpec:
        """The deployment with what its handler's files hold."""
        if spec.handler is None:
            return spec
        found = self._found(spec.handler)
        return spec.model_copy(update={"handler": spec.handler.with_found(found)})

    def _found(self, handler: HandlerSpec) -> Found:
        listed: dict[str, ScriptFile] = {}
        entries: dict[str, str | None] = {"predictor": None, "transformer": None}
        for role in entries:
            given = getattr(handler, role)
            if given is not None:
                entries[role] = self._role(role, given, listed)
        if sum(one.size for one in listed.values()) > BIGGEST:
            field = "predictor" if handler.predictor else "transformer"
            self._wrong(field, "the scripts are larger than 64 MiB", "what is large goes into the model's folder")
        pins = tuple(self._pins(handler.requirements)) if handler.requirements is not None else ()
        files = tuple(listed[path] for path in sorted(listed))
        return Found(files, entries["predictor"], entries["transformer"], pins)

    def _wrong(self, field: str, message: str, hint: str | None = None) -> None:
        node = get(self._tree, "handler", field)
        if node is not None:
            self.problems.append(problem(node.place, message, hint, self._files.texts))

    def _role(self, role: str, given: str, listed: dict[str, ScriptFile]) -> str | None:
        name = self._files.inside("deployer.yaml", given)
        if name is None:
            self._wrong(role, f"handler.{role} must stay in the fleet", "a path from the folder of deployer.yaml")
            return None
        path = self._files.root / name
        entry = f"{role}.py" if path.is_dir() else path.name
        main = path / entry if path.is_dir() else path
        if not main.is_file():
            what = f"the folder {shown(given)} has no {role}.py" if path.is_dir() else f"there is no file {shown(given)}"
            self._wrong(role, what, f"handler.{role} is relative to the folder of deployer.yaml")
            return None
        if not entry.endswith(".py"):
            self._wrong(role, f"{shown(given)} is not a Python file", "a file that ends with .py, or a folder")
            return None
        for relative, file in self._listed(path, entry):
            self._add(role, relative, file, listed)
        self._look(role, main)
        return entry

    def _listed(self, path: Path, entry: str) -> Iterator[tuple[str, Path]]:
        """(path in the artifact, file). What editors and Python leave behind is not part of it."""
        if not path.is_dir():
            yield entry, path
            return
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(one for one in folders if not one.startswith(".") and one != "__pycache__")
            for name in sorted(names):
                if not name.startswith(".") and not name.endswith(".pyc"):
                    file = Path(folder) / name
                    yield file.relative_to(path).as_posix(), file

    def _add(self, role: str, relative: str, file: Path, listed: dict[str, ScriptFile]) -> None:
        source = file.relative_to(self._files.root).as_posix()
        if self._files.inside("deployer.yaml", source) is None or not file.is_file():
            self._wrong(role, f"{source} leads out of the fleet, or is no file")
            return
        if not relative.isprintable() or "\\" in relative:
            self._wrong(role, f"the file name {relative!r} cannot be sent to a host", "rename the file")
            return
        content = file.read_bytes()
        made = ScriptFile(relative, len(content), f"sha256:{hashlib.sha256(content).hexdigest()}", source)
        other = listed.setdefault(relative, made)
        if other.digest != made.digest:
            self._wrong(role, f"{source} and {other.source} would both be {relative}", "give one of them another name")

    def _look(self, role: str, file: Path) -> None:
        name = file.relative_to(self._files.root).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            line, column = (error.lineno or 0, error.offset or 1) if isinstance(error, SyntaxError) else (0, 0)
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            lines = [] if isinstance(error, UnicodeDecodeError) else split_lines(text)
            shown_line = lines[line - 1] if 0 < line <= len(lines) else None
            self.problems.append(Problem(name, line, column, f"this is not Python: {said}", None, shown_line, 1))
            return
        wanted = role.capitalize()
        if wanted not in {one for node in tree.body for one in _names(node)}:
            hint = f"class {wanted}: with {' or '.join(METHODS[role])}, see docs/handlers.md"
            self.problems.append(Problem(name, 0, 0, f"there is no class {wanted}", hint))
            return
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == wanted and not node.bases:
                self._methods(role, name, node)

    def _methods(self, role: str, file: str, node: ast.ClassDef) -> None:
        if not {one for inner in node.body for one in _names(inner)} & set(METHODS[role]):
            message = f"{node.name} has no {' and no '.join(METHODS[role])}"
            self.problems.append(Problem(file, node.lineno, node.col_offset + 1, message, "docs/handlers.md has the protocol"))

    def _pins(self, given: str) -> Iterator[Pin]:
        name = self._files.inside("deployer.yaml", given)
        path = self._files.root / name if name is not None else None
        if path is None or not path.is_file():
            self._wrong("requirements", f"there is no file {shown(given)}", "a path from the folder of deployer.yaml")
            return
        hint = COMMAND.format(file=name)
        for number, line in _logical(path.read_text(encoding="utf-8", errors="replace")):
            found = _PIN.fullmatch(line)
            hashes = tuple(sorted(_HASH.findall(found[2]))) if found else ()
            if found is None:
                self.problems.append(Problem(str(name), number, 1, f"{shown(line[:80])} is not name==version with hashes", hint))
            elif not hashes:
                self.problems.append(Problem(str(name), number, 1, f"{found[1].strip()} has no hash", hint))
            else:
                yield Pin(re.sub(r"\s+", " ", found[1]).strip(), hashes)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, line) with continued lines joined; without comments and empty ones."""
    began, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not parts:
            began = number
        if not parts and (not line or line.startswith("#")):
            continue
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            yield began, " ".join(parts)
            parts = []
    if parts:
        yield began, " ".join(parts)


def _names(node: ast.stmt) -> list[str]:
    """What a statement binds."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom | ast.Import):
        return [one.asname or one.name for one in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []
