"""What no single file can show: names used twice, hosts that are not there, paths that leave the fleet. Called by `spec.load`.

Works on trees, so that a document that is wrong in one field is still checked in the others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from deployer.errors import Problem
from deployer.spec.explain import did_you_mean, nearest, shown
from deployer.spec.files import Files
from deployer.spec.placementchecks import Named, PlacementChecks
from deployer.spec.problems import problem
from deployer.spec.tree import Node, Place, get, strings


@dataclass(frozen=True, slots=True)
class Document:
    """One file of hosts/, deployments/, policies/ or catalog/, as its tree after `extends` and defaults."""

    kind: str
    file: str
    tree: Node

    @property
    def name(self) -> str | None:
        node = get(self.tree, "name")
        return node.value if node is not None and isinstance(node.value, str) else None


class Checks:
    """All checks across files; `run` gives their problems."""

    def __init__(
        self,
        files: Files,
        fleet: Node | None,
        hosts: list[Document],
        deployments: list[Document],
        named: list[Document] | None = None,
    ) -> None:
        self.files = files
        self.fleet = fleet
        self.hosts = hosts
        self.deployments = deployments
        self.named = named or []
        self.placing = Named.of((host.tree for host in hosts), (deployment.tree for deployment in deployments))
        self.host_names = {host.name for host in hosts if host.name}

    def run(self) -> list[Problem]:
        return [
            *self._unique(self.hosts, "hosts"),
            *self._unique(self.deployments, "deployments"),
            *self._unique([one for one in self.named if one.kind == "policy"], "policies"),
            *self._unique([one for one in self.named if one.kind == "catalog"], "entries of the catalogue"),
            *self._machines(),
            *(found for host in self.hosts for found in self._jump(host)),
            *(found for deployment in self.deployments for found in self._deployment(deployment)),
            *self._known_hosts(strings(get(self.fleet, "gateway", "hosts")) if self.fleet else []),
            *self._known_hosts(self._rule_hosts()),
            *self._previous_names(),
        ]

    def _problem(self, place: Place, message: str, hint: str | None = None) -> Problem:
        return problem(place, message, hint, self.files.texts)

    def _unique(self, documents: list[Document], word: str) -> Iterator[Problem]:
        first: dict[str, Place] = {}
        for document in documents:
            node = get(document.tree, "name")
            if node is None or not isinstance(node.value, str):
                continue
            other = first.setdefault(node.value, node.place)
            if other is not node.place:
                where = f"{other.file}:{other.line}"
                yield self._problem(node.place, f"two {word} are named {shown(node.value)}", f"the other one is in {where}")

    def _machines(self) -> Iterator[Problem]:
        """One machine in two files, as far as the files show it (the probe knows more)."""
        first: dict[Any, Document] = {}
        for host in self.hosts:
            fields = [get(host.tree, field) for field in ("connection", "address", "port", "jump")]
            values = [node.value if node is not None else None for node in fields]
            if any(isinstance(value, dict | list) for value in values):
                continue
            local = values[0] == "local"
            node = get(host.tree, "connection" if local else "address")
            if node is None or node.value is None:
                continue
            other = first.setdefault("local" if local else (values[1], values[2] or 22, values[3]), host)
            if other is not host:
                what = "this machine" if local else f"the machine at {values[1]}"
                yield self._problem(node.place, f"{what} is in {other.file} already", "one machine is one host")

    def _jump(self, host: Document) -> Iterator[Problem]:
        node = get(host.tree, "jump")
        if node is None or not isinstance(node.value, str) or "@" in node.value:
            return
        if node.value == host.name:
            yield self._problem(node.place, "a host cannot be its own jump host")
        elif node.value not in self.host_names:
            others = {name for name in self.host_names if name != host.name}
            hint = nearest(node.value, others) or "write another host's name, or user@address"
            yield self._problem(node.place, f"there is no host {shown(node.value)}", hint)

    def _deployment(self, document: Document) -> Iterator[Problem]:
        tree = document.tree
        yield from self._known_hosts(strings(get(tree, "placement", "hosts")))
        yield from PlacementChecks(tree, self.placing, self.files.texts).run()
        yield from self._model_path(get(tree, "model", "path"))
        keys = get(tree, "endpoint", "keys")
        yield from self._keys(keys)
        yield from self._adapters(tree)
        is_open = get(tree, "endpoint", "open")
        if is_open is not None and is_open.value is True and keys is not None and keys.items:
            yield self._problem(is_open.place, "an endpoint is open or has keys, not both")

    def _known_hosts(self, names: Iterable[Node]) -> Iterator[Problem]:
        for node in names:
            if node.value not in self.host_names:
                hint = did_you_mean(str(node.value), self.host_names) or "hosts/ holds one file per host"
                yield self._problem(node.place, f"there is no host {shown(node.value)}", hint)

    def _rule_hosts(self) -> list[Node]:
        rules = get(self.fleet, "drift", "ignore") if self.fleet else None
        found = [get(rule, "host") for rule in (rules.items if rules is not None else [])]
        return [node for node in found if node is not None and isinstance(node.value, str)]

    def _adapters(self, tree: Node) -> Iterator[Problem]:
        """A name leads to one model: the deployment's own, or one adapter."""
        adapters = get(tree, "adapters")
        taken = {str(n.value) for n in (get(tree, "name"), *strings(get(tree, "endpoint", "model_names"))) if n is not None}
        for item in adapters.items if adapters is not None else []:
            yield from self._model_path(get(item, "path"), "adapters.path")
            node = get(item, "name")
            if node is None or not isinstance(node.value, str):
                continue
            if node.value in taken:
                hint = "clients choose an adapter by this name"
                yield self._problem(node.place, f"{shown(node.value)} is the name of another model of this deployment", hint)
            taken.add(node.value)

    def _model_path(self, node: Node | None, field: str = "model.path") -> Iterator[Problem]:
        """A folder is relative to the fleet's root."""
        if node is None or not isinstance(node.value, str):
            return
        name = self.files.inside("deployer.yaml", node.value)
        if name is None:
            yield self._problem(node.place, f"{field} must stay in the fleet", "host_path is for a folder that is on the host")
        elif not (self.files.root / name).is_dir():
            what = "is a file, not a folder" if (self.files.root / name).is_file() else "is not there"
            yield self._problem(node.place, f"the folder {shown(node.value)} {what}", f"{field} is relative to the fleet's root")

    def _keys(self, keys: Node | None) -> Iterator[Problem]:
        first: dict[str, Place] = {}
        for item in keys.items if keys is not None else []:
            node = get(item, "name")
            if node is not None and isinstance(node.value, str):
                other = first.setdefault(node.value, node.place)
                if other is not node.place:
                    yield self._problem(
                        node.place, f"two keys are named {shown(node.value)}", f"the other one is on line {other.line}"
                    )

    def _previous_names(self) -> Iterator[Problem]:
        current = {document.name for document in self.deployments}
        taken: dict[str, Place] = {}
        for document in self.deployments:
            for node in strings(get(document.tree, "previous_names")):
                name = str(node.value)
                if name in current:
                    yield self._problem(
                        node.place, f"a deployment is named {shown(name)} now", "only a name that is free can be a previous one"
                    )
                elif taken.setdefault(name, node.place) is not node.place:
                    yield self._problem(
                        node.place, f"{shown(name)} is a previous name twice", f"also in {taken[name].file}:{taken[name].line}"
                    )
