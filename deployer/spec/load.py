"""A folder of YAML → a checked fleet, or every problem of every file at once. Stage 1; called by `app` and the public API."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from deployer import __version__
from deployer.errors import Problem, SpecError
from deployer.spec.checks import Checks, Document
from deployer.spec.files import Files
from deployer.spec.models import CatalogEntry, DeploymentSpec, FleetFile, FleetSpec, HostSpec, PolicySpec
from deployer.spec.positions import Positions
from deployer.spec.problems import hidden, ordered, problem
from deployer.spec.scripts import Scripts
from deployer.spec.shelf import FOLDER, Shelf
from deployer.spec.tree import Node, get, merge, without
from deployer.spec.validate import Validator, beneath

FLEET_FILE = "deployer.yaml"
FOLDERS = {"host": "hosts", "deployment": "deployments", "policy": "policies", "catalog": FOLDER}
_Spec = HostSpec | DeploymentSpec | PolicySpec | CatalogEntry


@dataclass(frozen=True, slots=True)
class Loaded:
    """A fleet as it was written. `origins` names the file of each document: "deployer", "host:NAME", "deployment:NAME",
    "policy:NAME", "catalog:NAME".
    """

    fleet: FleetSpec
    positions: Positions
    root: Path
    origins: Mapping[str, str]


def load_fleet(root: Path, settings: Mapping[str, type[BaseModel]], instead: Mapping[str, str | None] | None = None) -> Loaded:
    """Reads deployer.yaml and the folders of FOLDERS below `root`; `settings` maps an engine's name to its model.
    `instead`: texts of files that are not written yet, by name (None: as if it were not there): the fleet as it would be.

    Raises SpecError with all problems, by file and line.
    """
    with _collector_paused():
        return _Loading(root, settings, instead).run()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Trees of a thousand files are all kept: the garbage collector would walk them again and again, a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Loading:
    def __init__(self, root: Path, settings: Mapping[str, type[BaseModel]], instead: Mapping[str, str | None] | None) -> None:
        self.root = root
        self.files = Files(root, instead)
        self.shelf = Shelf(self.files)
        self.validator = Validator(settings, self.files.texts)
        self.problems: list[Problem] = []

    def run(self) -> Loaded:
        fleet_tree = self._fleet_tree()
        fleet = self.validator.fleet(fleet_tree) if fleet_tree is not None else None
        if fleet_tree is not None:
            self._version(get(fleet_tree, "required_version"))
        host_documents = self._documents("host", "hosts", None)
        deployment_documents = self._documents("deployment", "deployments", fleet_tree)
        hosts = [(document, self.validator.host(document.tree)) for document in host_documents]
        deployments = [(document, self.validator.deployment(document.tree)) for document in deployment_documents]
        deployments = [(document, self._scripts(document, spec)) for document, spec in deployments]
        policies = self._policies({document.name for document in deployment_documents if document.name})
        catalog = [(one, self.validator.catalog(one.tree)) for one in self._documents("catalog", FOLDER, None)]
        named = [document for document, _ in (*policies, *catalog)]
        self.problems += Checks(self.files, fleet_tree, host_documents, deployment_documents, named).run()
        self._refuse()
        assert fleet is not None
        assert fleet_tree is not None
        return self._loaded(fleet, fleet_tree, [*hosts, *deployments, *policies, *catalog])

    def _scripts(self, document: Document, spec: DeploymentSpec | None) -> DeploymentSpec | None:
        if spec is None or spec.handler is None:
            return spec
        scripts = Scripts(self.files, document.tree)
        found = scripts.read(spec)
        self.problems += scripts.problems
        return found

    def _fleet_tree(self) -> Node | None:
        if not (self.root / FLEET_FILE).exists():
            hint = "`deployer init` makes a fleet; -C DIR names another folder"
            self.problems.append(Problem(FLEET_FILE, 0, 0, "there is no deployer.yaml here", hint))
            return None
        return self.files.tree(FLEET_FILE)

    def _policies(self, deployments: set[str]) -> list[tuple[Document, PolicySpec | None]]:
        documents = self._documents("policy", "policies", None)
        return [(document, self.validator.policy(document.tree, deployments)) for document in documents]

    def _documents(self, kind: str, folder: str, fleet: Node | None) -> list[Document]:
        documents = []
        for file in self.files.listing(folder):
            tree = self.files.tree(file)
            if tree is not None and kind == "deployment":
                tree = self._complete(file, tree, fleet)
            if tree is not None:
                documents.append(Document(kind, file, tree))
        return documents

    def _complete(self, file: str, tree: Node, fleet: Node | None) -> Node | None:
        """The file over what it extends, over the fleet's defaults."""
        extends = get(tree, "extends")
        if extends is not None:
            tree = without(tree, "extends")
            if extends.value is not None:
                base = self._base(file, extends)
                if base is None:
                    return None
                tree = merge(base, tree)
        tree, unknown = self.shelf.resolved(tree)
        self.problems += [unknown] if unknown is not None else []
        defaults = get(fleet, "defaults") if fleet is not None else None
        return beneath(defaults, tree, self.validator.engine_name(tree))

    def _base(self, file: str, extends: Node) -> Node | None:
        if not isinstance(extends.value, str) or not extends.value:
            self._problem(extends, "extends must be the path of another file")
            return None
        name = self.files.inside(file, extends.value)
        if name is None:
            self._problem(extends, "extends must stay in the fleet", "a path from this file, such as ../defaults/llm.yaml")
            return None
        if not (self.root / name).is_file():
            self._problem(extends, f"there is no file {name}", "extends is a path from this file")
            return None
        base = self.files.tree(name)
        if base is None:
            return None
        again = base.entries.get("extends")
        if again is not None:
            message = "a file that others extend cannot extend another one"
            self.problems.append(problem(again.key, message, "one level only", self.files.texts))
            return None
        if not isinstance(base.value, dict):
            self.problems.append(problem(base.place, "a file that others extend is a mapping", None, self.files.texts))
            return None
        return base

    def _problem(self, node: Node, message: str, hint: str | None = None) -> None:
        self.problems.append(problem(node.place, message, hint, self.files.texts))

    def _version(self, node: Node | None) -> None:
        if node is None or not isinstance(node.value, str):
            return
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # only for the fleets that ask

        try:
            fits = SpecifierSet(node.value).contains(__version__, prereleases=True)
        except InvalidSpecifier:
            self._problem(node, 'required_version must be a range such as ">=0.3" or ">=0.3,<0.5"')
            return
        if not fits:
            self._problem(node, f"this fleet wants deployer {node.value}, this is {__version__}", "install a fitting version")

    def _refuse(self) -> None:
        """Raises when anything is wrong. A value whose YAML is wrong already is not reported for its type too."""
        read = {(p.file, p.line, p.column) for p in self.files.problems if p.line}
        later = [p for p in [*self.problems, *self.validator.problems] if (p.file, p.line, p.column) not in read]
        found = ordered(hidden(p, self.validator.secrets) for p in [*self.files.problems, *later])
        if found:
            raise SpecError(found)

    def _loaded(
        self,
        fleet: FleetFile,
        fleet_tree: Node,
        read: Iterable[tuple[Document, _Spec | None]],
    ) -> Loaded:
        trees, origins = {"deployer": fleet_tree}, {"deployer": FLEET_FILE}
        by_name: dict[str, dict[str, _Spec]] = {kind: {} for kind in FOLDERS}
        for document, one in read:
            assert one is not None
            by_name[document.kind][one.name] = one
            trees[f"{document.kind}:{one.name}"] = document.tree
            origins[f"{document.kind}:{one.name}"] = document.file
        found = {FOLDERS[kind]: dict(sorted(specs.items())) for kind, specs in by_name.items()}
        given = {name: getattr(fleet, name) for name in fleet.model_fields_set}
        spec = FleetSpec.model_construct(_fields_set={*given, *found}, **{**dict(fleet), **found})
        return Loaded(spec, Positions(trees=trees, texts=self.files.texts), self.root, origins)
