"""Where the catalogue's entries lie: `catalog/` of the fleet, and deployer's own. Used by spec.load for
`model: {catalog: NAME}`, and by app.catalog for the list of all of them.

Of an entry a deployment gets its repository and nothing else: settings that came with it could change with deployer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from deployer.errors import Problem, SpecError
from deployer.spec.catalog import CatalogEntry
from deployer.spec.explain import nearest, shown
from deployer.spec.files import Files
from deployer.spec.problems import ordered, problem
from deployer.spec.tree import Entry, Node, get
from deployer.spec.validate import Validator

FOLDER = "catalog"
#: In messages its files are called deployer/catalog/NAME.yaml.
_OURS = "deployer/catalog"
#: Where the places of entries are, in messages and positions.
CATALOGS = (f"{FOLDER}/", f"{_OURS}/")
_ABOVE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Shelved:
    """`file`: of the fleet, or deployer/catalog/NAME.yaml. `own`: of the fleet."""

    entry: CatalogEntry
    file: str
    own: bool


class Shelf:
    """Entries as trees. The fleet's own go before ours of the same name."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._above = Files(_ABOVE)

    @cached_property
    def _own(self) -> Mapping[str, Node]:
        trees = [self._files.tree(file) for file in self._files.listing(FOLDER)]
        named = [(get(tree, "name"), tree) for tree in trees if tree is not None]
        return {name.value: tree for name, tree in named if name is not None and isinstance(name.value, str)}

    @cached_property
    def _ours(self) -> Mapping[str, str]:
        """Name → file."""
        return {Path(file).stem: file for file in self._above.listing(_OURS)}

    def names(self) -> set[str]:
        return {*self._own, *self._ours}

    def entry(self, name: str) -> Node | None:
        found, file = self._own.get(name), self._ours.get(name)
        if found is None and file is not None:
            found = self._above.tree(file)
            self._files.texts[file] = self._above.texts[file]
        return found

    def resolved(self, deployment: Node) -> tuple[Node, Problem | None]:
        """A deployment with the repository of the entry that its model names. A problem when there is no such entry, or when it
        says a repository itself.
        """
        model = get(deployment, "model")
        name = get(model, "catalog") if model is not None else None
        if model is None or name is None or not isinstance(name.value, str):
            return deployment, None
        said = get(model, "repo")
        if said is not None and said.value is not None:
            hint = "the catalogue's entry names the repository"
            message = "model needs exactly one of repo, path, host_path, catalog"
            return deployment, problem(model.entries["catalog"].key, message, hint, self._files.texts)
        entry = self.entry(name.value)
        if entry is None:
            hint = nearest(name.value, self.names()) or "deployer models lists them"
            return deployment, problem(name.place, f"the catalogue has no {shown(name.value)}", hint, self._files.texts)
        repo = entry.entries.get("repo")
        if repo is None or not isinstance(repo.node.value, str):  # its own file is wrong, and says so
            return deployment, None
        changed = Node(model.place, {**model.entries, "repo": repo}, block=model.block)
        key = deployment.entries["model"].key
        return Node(deployment.place, {**deployment.entries, "model": Entry(key, changed)}, block=deployment.block), None


def shelved(root: Path, settings: Mapping[str, type[BaseModel]]) -> dict[str, Shelved]:
    """Every entry by name, those of the fleet at `root` (which need not be one) and ours. Raises SpecError with all that is wrong
    in them.
    """
    found: dict[str, Shelved] = {}
    problems: list[Problem] = []
    for files, folder in ((Files(_ABOVE), _OURS), (Files(root), FOLDER)):
        validator = Validator(settings, files.texts)
        for file in files.listing(folder):
            tree = files.tree(file)
            entry = validator.catalog(tree) if tree is not None else None
            if entry is not None:
                found[entry.name] = Shelved(entry, file, folder == FOLDER)
        problems += [*files.problems, *validator.problems]
    if problems:
        raise SpecError(ordered(problems))
    return dict(sorted(found.items()))
