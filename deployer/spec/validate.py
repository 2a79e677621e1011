"""One document's tree → its model and its problems. Called by `spec.load` for deployer.yaml, each host and each deployment."""

import json
from collections.abc import Collection, Mapping
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from deployer.errors import Problem
from deployer.spec.explain import Explainer, did_you_mean, shown
from deployer.spec.models import CatalogEntry, DeploymentSpec, EngineChoice, FleetFile, HostSpec, PolicySpec
from deployer.spec.policychecks import PolicyChecks
from deployer.spec.problems import problem
from deployer.spec.schema import OWN, documents
from deployer.spec.tree import Entry, Node, Path, Place, get, merge, plain, walk, without
from deployer.spec.wanted import Grammar

M = TypeVar("M", bound=BaseModel)
_INCOMPLETE = ("missing", "one_of", "needs")


@lru_cache(maxsize=4)
def grammars(settings: tuple[tuple[str, type[BaseModel]], ...]) -> Mapping[str, Grammar]:
    """What the fields of each kind of file want. Slow to make, so made once: a form asks at every key."""
    made = documents(dict(settings))
    roots = {"deployment": "DeploymentSpec", "host": "HostSpec", "deployer": "FleetFile", "policy": "PolicySpec"}
    roots["catalog"] = "CatalogEntry"
    nouns = {"deployment": "a deployment", "host": "a host", "deployer": "deployer.yaml", "policy": "a policy"}
    nouns["catalog"] = "an entry of the catalogue"
    return {kind: Grammar({"$ref": f"#/$defs/{name}", "$defs": made[kind]["$defs"]}, nouns[kind]) for kind, name in roots.items()}


class Validator:
    """Checks documents against the models; knows the engines' settings. `problems` collects what is wrong."""

    def __init__(self, settings: Mapping[str, type[BaseModel]], texts: Mapping[str, str]) -> None:
        self.settings = settings
        self.texts = texts
        self.problems: list[Problem] = []
        self.secrets: list[Place] = []

    @cached_property
    def _grammars(self) -> Mapping[str, Grammar]:
        return grammars(tuple(self.settings.items()))

    def fleet(self, root: Node) -> FleetFile | None:
        found = self._model(FleetFile, "deployer", root)
        defaults = get(root, "defaults")
        if defaults is not None and isinstance(defaults.value, dict):
            self._defaults(defaults)
        return found

    def host(self, root: Node) -> HostSpec | None:
        return self._model(HostSpec, "host", root)

    def policy(self, root: Node, deployments: Collection[str]) -> PolicySpec | None:
        """`deployments`: the names there are."""
        found = self._model(PolicySpec, "policy", root)
        self.problems += PolicyChecks(root, self._grammars["deployment"], set(deployments), self.texts).run()
        return found

    def catalog(self, root: Node) -> CatalogEntry | None:
        """Its settings of engines are checked as those of a deployment, and stay as they are written."""
        root = _engines_without_settings(root)
        found = self._model(CatalogEntry, "catalog", root)
        right = True
        for name, entry in walk(root, ("engines",)).node.entries.items() if get(root, "engines") is not None else ():
            if name not in self.settings:
                self._unknown_engine(entry.key, name)
                right = False
            elif entry.node.value is not None:
                right &= self._check(self.settings[name], "catalog", root, entry.node, ("engines", name)) is not None
        return found if right else None

    def deployment(self, root: Node, *, partial: bool = False) -> DeploymentSpec | None:
        """`partial`: what is missing may come from elsewhere, and several engines may be set."""
        engine = self.engine_name(root)
        settings = None
        node = get(root, "engine")
        if node is not None and node.value is not None:
            if engine is None and not (partial and isinstance(node.value, dict)):
                self._wrong_engine(root)
            for name in node.entries if partial else [engine] if engine else []:
                settings = self._settings(root, name, partial=partial)
        stand_in = {"engine": {"name": engine or "", "settings": None}} if node is not None and node.value is not None else {}
        spec = self._model(DeploymentSpec, "deployment", root, stand_in, partial=partial)
        if spec is None or engine is None or settings is None:
            return None
        return spec.model_copy(update={"engine": EngineChoice(name=engine, settings=settings)})

    def engine_name(self, root: Node) -> str | None:
        """The one engine that this deployment names, when we know it."""
        names = _engines(get(root, "engine"))
        return names[0] if len(names) == 1 and names[0] in self.settings else None

    def _wrong_engine(self, root: Node) -> None:
        found = walk(root, ("engine",))
        names = _engines(found.node)
        engines = " or ".join(sorted(self.settings))
        if len(names) == 1:
            self._unknown_engine(found.node.entries[names[0]].key, names[0])
        elif names:
            second = found.node.entries[names[1]].key
            files = {found.node.entries[name].key.file for name in names}
            hint = f"`{names[0]}: null` leaves out the one that another file brings" if len(files) > 1 else None
            self.problems.append(problem(second, f"one engine is wanted, not {' and '.join(names)}"[:200], hint, self.texts))
        else:
            word = found.node.value if isinstance(found.node.value, str) else ""
            hint = f"write `engine: {{{word}: {{}}}}`" if word in self.settings else None
            place = found.key if found.node.block else found.node.place
            self.problems.append(problem(place, f"engine must be a mapping with one engine: {engines}", hint, self.texts))

    def _unknown_engine(self, place: Place, name: str) -> None:
        hint = did_you_mean(name, self.settings)
        self.problems.append(problem(place, f"there is no engine {shown(name)}", hint, self.texts))

    def _settings(self, root: Node, name: str, *, partial: bool) -> BaseModel | None:
        path: Path = ("engine", name)
        entry = walk(root, path)
        if name not in self.settings:
            self._unknown_engine(entry.key, name)
            return None
        node = entry.node if entry.node.value is not None else Node(entry.key, {})  # `vllm:` with nothing after it
        return self._check(self.settings[name], "deployment", root, node, path, partial=partial)

    def _defaults(self, defaults: Node) -> None:
        """Checked by itself too: a fleet may have defaults that no deployment uses yet."""
        for key in (*OWN, "extends"):
            entry = defaults.entries.get(key)
            if entry is not None:
                self.problems.append(problem(entry.key, f"{key} belongs to one deployment, not to defaults", None, self.texts))
        self.deployment(without(defaults, *OWN, "extends"), partial=True)

    def _model(
        self, model: type[M], kind: str, root: Node, stand_in: Mapping[str, Any] | None = None, *, partial: bool = False
    ) -> M | None:
        if not isinstance(root.value, dict):
            noun = self._grammars[kind].noun
            self.problems.append(problem(root.place, f"{noun} is a mapping: lines of `key: value`", None, self.texts))
            return None
        return self._check(model, kind, root, root, (), stand_in, partial=partial)

    def _check(
        self,
        model: type[M],
        kind: str,
        root: Node,
        node: Node,
        prefix: Path,
        stand_in: Mapping[str, Any] | None = None,
        *,
        partial: bool = False,
    ) -> M | None:
        """Validates `node`, which is at `prefix` of the document `root`."""
        nulls: list[Path] = []
        bare = without(node, "engine") if stand_in else node
        data = plain(bare, prefix, nulls)
        if stand_in:
            data = {**data, **stand_in}
        if nulls:
            self._unknown_nulls(kind, root, nulls)
        try:
            return model.model_validate_json(json.dumps(data))
        except ValidationError as error:
            errors = [e for e in error.errors(include_url=False) if not (partial and e["type"] in _INCOMPLETE)]
            if errors:
                explainer = Explainer(self._grammars[kind], root, self.texts)
                self.problems += explainer.problems(errors, prefix)
                self.secrets += explainer.secrets
            return None

    def _unknown_nulls(self, kind: str, root: Node, nulls: list[Path]) -> None:
        """A key without a value counts as not written, but a wrong key is wrong all the same."""
        grammar = self._grammars[kind]
        explainer = Explainer(grammar, root, self.texts)
        wrong = [path for path in nulls if grammar.knows(path[:-1]) and not grammar.knows(path)]
        self.problems += [explainer.unknown(path) for path in wrong]


def _engines(node: Node | None) -> list[str]:
    """The engines that are named; `vllm:` with nothing after it is one when it stands alone."""
    entries = node.entries if node is not None else {}
    return [name for name, entry in entries.items() if entry.node.value is not None] or list(entries)


def beneath(defaults: Node | None, deployment: Node, engine: str | None) -> Node:
    """The deployment over the fleet's defaults; of their engine settings, only those of the engine it uses."""
    if defaults is None or not isinstance(defaults.value, dict) or not isinstance(deployment.value, dict):
        return deployment
    base = without(defaults, *OWN, "extends", "engine")
    entry = defaults.entries.get("engine")
    if entry is not None and engine is not None and engine in entry.node.entries:
        mine = Node(entry.node.place, {engine: entry.node.entries[engine]}, block=entry.node.block)
        base.entries["engine"] = Entry(entry.key, mine)
        deployment = _engine_without_settings(deployment, engine)
    return merge(base, deployment)


def _engines_without_settings(entry: Node) -> Node:
    """`vllm:` with nothing after it, in an entry of the catalogue: nothing of it is set."""
    engines = entry.entries.get("engines")
    if engines is None or not engines.node.entries:
        return entry
    bare = {
        name: one if one.node.value is not None else Entry(one.key, Node(one.key, {}))
        for name, one in engines.node.entries.items()
    }
    whole = Entry(engines.key, Node(engines.node.place, bare, block=engines.node.block))
    return Node(entry.place, {**entry.entries, "engines": whole}, block=entry.block)


def _engine_without_settings(deployment: Node, engine: str) -> Node:
    """`vllm:` with nothing after it means the defaults, not "unset"."""
    entry = deployment.entries["engine"]
    choice = entry.node.entries[engine]
    if choice.node.value is not None:
        return deployment
    empty = Node(
        entry.node.place, {**entry.node.entries, engine: Entry(choice.key, Node(choice.key, {}))}, block=entry.node.block
    )
    return Node(deployment.place, {**deployment.entries, "engine": Entry(entry.key, empty)}, block=deployment.block)
