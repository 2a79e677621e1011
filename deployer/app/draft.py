"""A deployment that is being written: what was typed so far, as a value; its YAML; and what is wrong with it, said by the
same models and checks that read the file later. Used by the terminal UI's wizard; blocking calls read the fleet's files.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployer.app import written
from deployer.app.checking import of_engine
from deployer.app.form import FIELDS, FORKS, STEPS, Asked
from deployer.engines import ENGINES, settings_models
from deployer.errors import Problem, SpecError, UsageError
from deployer.spec.load import Loaded, load_fleet
from deployer.spec.models import DeploymentSpec
from deployer.spec.problems import ordered, problem_at

FOLDER = "deployments"
_SCHEMA = "# yaml-language-server: $schema=../schemas/deployment.schema.json"
_LOOPBACK = "# endpoint: nobody but the host itself, as long as nothing is said here of keys or open"
#: What the draft is called while it is checked: behind all others, so that a name used twice is said to be wrong here.
_UNWRITTEN = f"{FOLDER}/~.yaml"
#: Where each thing stands in the file.
_ORDER = ("name", "description", "tags", "model", "engine", "sampling", "replicas", "placement", "resources", "endpoint")


Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Wrote:
    """One line of the file, and the key of the field it comes from."""

    text: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """What was written, and where below the fleet."""

    file: str
    text: str

    def stands(self, root: Path) -> bool:
        """Whether it is still there as it was written."""
        try:
            return (root / self.file).read_text(encoding="utf-8") == self.text
        except (OSError, UnicodeDecodeError):
            return False


@dataclass(frozen=True, slots=True)
class Checked:
    """`problems` as `deployer validate` would say them; `by_key`: the first one of each field. Without problems there is the
    `spec` that will be read, and `gpus`: how many one replica takes.
    """

    text: str
    file: str
    problems: tuple[Problem, ...] = ()
    by_key: Mapping[str, Problem] = field(default_factory=dict)
    spec: DeploymentSpec | None = None
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """`typed`: by a field's key what a person typed, as it was typed; empty is "not said"."""

    typed: Mapping[str, str] = field(default_factory=dict)

    def say(self, key: str, text: str) -> "Draft":
        return Draft({**self.typed, key: text})

    def get(self, key: str) -> str:
        """What was typed; of a choice between ways, the way."""
        fork = FORKS.get(key)
        return self.typed.get(key, "") or (fork.default if fork else "")

    @property
    def touched(self) -> bool:
        return any(self.typed.values())

    def asked(self, step: str) -> tuple[Asked, ...]:
        """The fields of a step, as the choices made so far have it."""
        return FIELDS[step]({name: self.get(name) for name in FORKS})

    def fields(self) -> tuple[Asked, ...]:
        return tuple(one for step in STEPS for one in self.asked(step))

    @property
    def file(self) -> str:
        """Where it will be written, below the fleet."""
        name = self.get("name")
        return f"{FOLDER}/{name if re.fullmatch(r'[a-z0-9-]+', name) else 'new'}.yaml"

    # as YAML

    def yaml(self) -> str:
        return "".join(f"{line.text}\n" for line in self.lines())

    def lines(self) -> list[Wrote]:
        said = [(one, self.get(one.key)) for one in self.fields() if one.kind != "fork"]
        told = [(one, text) for one, text in said if text or one.needed] + self._arguments()
        if not any(one.path[0] == "engine" for one, _ in told):
            told.append((Asked(("engine", self.get("engine")), "", "bare"), "{}"))
        if self.get("endpoint") == "open":
            told.append((Asked(("endpoint", "open"), "", "bare"), "true"))
        told.sort(key=lambda item: _ORDER.index(str(item[0].path[0])))
        found: list[Wrote] = [Wrote(_SCHEMA)]
        before: Where = ()
        for one, text in told:
            found += [*_opening(before, one), _line(before, one, text)]
            before = one.path
        return [*found, Wrote(_LOOPBACK)] if self.get("endpoint") == "loopback" else found

    def _arguments(self) -> list[tuple[Asked, str]]:
        """What no field asks: arguments of the chosen engine that an entry of the catalogue suggests."""
        path = ("engine", self.get("engine"), "args")
        start = ".".join(path) + "."
        return [
            (Asked((*path, key.removeprefix(start)), "", "bare"), text)
            for key, text in self.typed.items()
            if key.startswith(start) and text
        ]

    # against the fleet

    def check(self, root: Path, put: Put | None = None) -> Checked:
        """What `deployer validate` would say of the fleet with this file in it, in the place of `put`."""
        lines, text = self.lines(), self.yaml()
        keys = {number: line.key for number, line in enumerate(lines, 1) if line.key}
        own = put.file if put is not None and put.stands(root) else None
        try:
            loaded = load_fleet(root, settings_models(), {_UNWRITTEN: text, **({own: None} if own else {})})
        except SpecError as error:
            return self._wrong(text, keys, error.problems, {})
        spec = loaded.fleet.deployments[self.get("name")]
        found = list(of_engine(loaded, spec))
        if self.file != own and (root / self.file).exists():
            found.append((("name",), _taken(loaded, spec, self.file)))
        if found:
            by_key = {_key(path): problem for path, problem in reversed(found)}
            return self._wrong(text, {}, [problem for _, problem in found], by_key)
        whole = spec.placement.gpu_share is None  # of shared ones only the plan knows what is free
        return Checked(text, self.file, spec=spec, gpus=ENGINES[spec.engine.name].gpus(spec) if whole else None)

    def _wrong(self, text: str, keys: Mapping[int, str], problems: Sequence[Problem], by_key: Mapping[str, Problem]) -> Checked:
        renamed = [replace(p, file=self.file) if p.file == _UNWRITTEN else p for p in problems]
        found: dict[str, Problem] = {}
        for before, problem in zip(problems, renamed, strict=True):
            if before.file == _UNWRITTEN and problem.line in keys:
                found.setdefault(keys[problem.line], problem)
        for key, problem in by_key.items():
            found.setdefault(self._asked_key(key), replace(problem, file=self.file))
        return Checked(text, self.file, tuple(ordered(renamed)), found)

    def _asked_key(self, key: str) -> str:
        """The field that a path belongs to: itself, or the first one beneath or above it."""
        asked = [one.key for one in self.fields()]
        beneath = [one for one in asked if one.startswith(f"{key}.")]
        above = [one for one in asked if key.startswith(f"{one}.")]
        return key if key in asked else [*beneath, *above, key][0]

    def write(self, root: Path, put: Put | None = None) -> Put:
        """Raises SpecError for what is wrong, UsageError when the file is there already: nothing is written over, but for
        `put`, which we wrote ourselves and nobody has changed since.
        """
        checked = self.check(root, put)
        if checked.problems:
            raise SpecError(checked.problems)
        try:
            (root / FOLDER).mkdir(exist_ok=True)
            if put is not None and put.stands(root):
                (root / put.file).unlink()
            with (root / self.file).open("x", encoding="utf-8") as stream:
                stream.write(checked.text)
        except FileExistsError as error:
            there = Path(error.filename).relative_to(root)
            raise UsageError(f"{there} is there already", hint="choose another name; nothing was written") from None
        except OSError as error:
            raise UsageError(f"{self.file} cannot be written: {error.strerror}", hint="mend that, and try again") from None
        return Put(self.file, checked.text)


def _opening(before: Where, one: Asked) -> list[Wrote]:
    """The lines `engine:`, `  vllm:` above a field, as far as the line before did not open them."""
    found = []
    parents = [part for part in one.path[:-1] if isinstance(part, str)]
    for depth, part in enumerate(parents):
        if before[: depth + 1] != one.path[: depth + 1]:
            found.append(Wrote(f"{'  ' * depth}{part}:", one.key))
    return found


def _line(before: Where, one: Asked, text: str) -> Wrote:
    value = _VALUES.get(one.kind, written.text)(text)
    indent = "  " * (len(one.path) - 1)
    for depth, part in enumerate(one.path):
        if isinstance(part, int):  # an item of a list: the first line of each has the dash
            indent = indent[2:] + ("- " if before[: depth + 1] != one.path[: depth + 1] else "  ")
    return Wrote(f"{indent}{one.path[-1]}: {value}{_comment(one)}", one.key)


def _comment(one: Asked) -> str:
    return f"   # {one.about}" if one.path[0] == "engine" and one.about else ""


_VALUES: Mapping[str, Callable[[str], str]] = {
    "integer": written.number,
    "number": written.number,
    "bare": str,
    "flag": lambda text: text if text in ("true", "false") else written.quoted(text),
    "list": lambda text: written.items(written.words(text)),
    "secret": written.reference,
}


def _taken(loaded: Loaded, spec: DeploymentSpec, file: str) -> Problem:
    what = f"{file} is there already, and says something else"
    return problem_at(loaded.positions, f"deployment:{spec.name}", ("name",), what, "choose another name")


def _key(path: Where) -> str:
    return ".".join(str(part) for part in path)


def model_folders(root: Path) -> tuple[str, ...]:
    """Folders below models/ that hold a model, as `model.path` names them."""
    found = [path.parent for pattern in ("*", "*/*") for path in (root / "models").glob(f"{pattern}/config.json")]
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))
