"""Rules of `placement` that contradict each other, or hosts and labels that are nowhere. Called by spec.checks, on trees.

Only what the files alone show: whether there is room, a plan says.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deployer.errors import Problem
from deployer.spec.explain import did_you_mean, shown
from deployer.spec.problems import problem
from deployer.spec.tree import Node, get, strings

HOST = "host"


@dataclass(frozen=True, slots=True)
class Named:
    """Hosts by name with their labels, and the hosts that each deployment names."""

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pinned: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, hosts: Iterable[Node], deployments: Iterable[Node]) -> "Named":
        return cls(
            {name: _labels(get(host, "labels")) for host in hosts if (name := _text(get(host, "name")))},
            {
                name: frozenset(str(node.value) for node in strings(get(tree, "placement", "hosts")))
                for tree in deployments
                if (name := _text(get(tree, "name")))
            },
        )


class PlacementChecks:
    """Of one deployment."""

    def __init__(self, tree: Node, named: Named, texts: Mapping[str, str]) -> None:
        self.tree, self.named, self.texts = tree, named, texts
        self.name = _text(get(tree, "name")) or ""

    def run(self) -> Iterator[Problem]:
        if not get(self.tree, "placement"):
            return
        yield from self._spreading()
        yield from self._gpus()
        yield from self._labelled()
        yield from self._apart()
        yield from self._apart_from()

    def _at(self, node: Node, message: str, hint: str | None = None) -> Problem:
        return problem(node.place, message, hint, self.texts)

    def _written(self, field_: str) -> Node | None:
        node = get(self.tree, "placement", field_)
        return node if node is not None and node.value is not None else None

    def _spreading(self) -> Iterator[Problem]:
        strategy, by = self._written("strategy"), self._written("spread_by")
        if strategy is not None and strategy.value == "pack" and by is not None:
            yield self._at(by, "spread_by has no effect with strategy: pack", "write one of the two")
        for node in (by, self._written("apart")):
            if node is not None and isinstance(node.value, str) and node.value != HOST and self.named.labels:
                known = {key for labels in self.named.labels.values() for key in labels}
                if node.value not in known:
                    yield self._at(node, f"no host has a label {shown(node.value)}", did_you_mean(node.value, {HOST, *known}))

    def _gpus(self) -> Iterator[Problem]:
        gpus = self._written("gpus")
        for rule in ("gpu", "gpu_memory", "gpu_share"):
            node = self._written(rule)
            if node is not None and gpus is not None and gpus.value == 0:
                yield self._at(node, f"placement.{rule} wants a GPU, and placement.gpus is 0", "write one of the two")

    def _labelled(self) -> Iterator[Problem]:
        """A host that is named and that the labels leave out."""
        wanted = _labels(self._written("labels"))
        for node in strings(self._written("hosts")):
            labels = self.named.labels.get(str(node.value))
            missing = ", ".join(f"{k}: {v}" for k, v in wanted.items() if labels is not None and labels.get(k) != v)
            if missing:
                message = f"{shown(node.value)} has no label {missing}, which placement.labels asks for"
                yield self._at(node, message, "take it out, or correct the labels")

    def _apart(self) -> Iterator[Problem]:
        """More replicas than there are hosts, or racks, to keep them apart on."""
        apart, replicas = self._written("apart"), get(self.tree, "replicas")
        number = replicas.value if replicas is not None else 1
        if apart is None or not isinstance(number, int) or not isinstance(apart.value, str):
            return
        allowed = self._allowed()
        places = {name if apart.value == HOST else labels.get(apart.value) for name, labels in allowed.items()} - {None}
        if 0 < len(places) < number:
            word = "host" if apart.value == HOST else f"value of {apart.value}"
            only = f"only {len(places)} {word}{'s' if len(places) > 1 and apart.value == HOST else ''}"
            message = f"{number} replicas stand apart by {apart.value}, and the placement allows {only}"
            yield self._at(apart, message, "fewer replicas, or more hosts")

    def _apart_from(self) -> Iterator[Problem]:
        mine = self.named.pinned.get(self.name, frozenset())
        for node in strings(self._written("apart_from")):
            other = str(node.value)
            if other == self.name:
                yield self._at(node, "a deployment cannot stand apart from itself", "apart: host keeps its replicas apart")
            elif other not in self.named.pinned:
                yield self._at(node, f"there is no deployment {shown(other)}", did_you_mean(other, self.named.pinned))
            elif len(mine) == 1 and mine == self.named.pinned[other]:
                message = f"it stands apart from {other}, and both are allowed on {next(iter(mine))} alone"
                yield self._at(node, message, "give one of them another host")

    def _allowed(self) -> dict[str, Mapping[str, str]]:
        names = {str(node.value) for node in strings(self._written("hosts"))}
        wanted = _labels(self._written("labels"))
        return {
            name: labels
            for name, labels in self.named.labels.items()
            if (not names or name in names) and all(labels.get(key) == value for key, value in wanted.items())
        }


def _labels(node: Node | None) -> dict[str, str]:
    return {key: str(entry.node.value) for key, entry in (node.entries if node else {}).items() if entry.node.value is not None}


def _text(node: Node | None) -> str | None:
    return node.value if node is not None and isinstance(node.value, str) else None
