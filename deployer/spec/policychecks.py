"""Paths and fragments of JSON Schema in a file of `policies/`: what pydantic cannot check. Called by spec.load.

JSON Schema passes over keywords it does not know, so a misspelt one would allow everything: only the keywords below are taken.
"""

import re
from collections.abc import Iterator, Mapping

from deployer.errors import Problem
from deployer.spec.explain import did_you_mean, shown
from deployer.spec.problems import problem
from deployer.spec.tree import Node, Path, get, plain, walk
from deployer.spec.wanted import Grammar

#: What a rule may ask besides the fields of a deployment: the lock's facts, the plan's places, the fleet.
LOCKED = ("license", "gated", "size", "context", "quantization", "architectures", "name")
PLACED = ("hosts",)
FLEET = ("name", "environment")
FACTS: Mapping[str, tuple[str, ...]] = {"locked": LOCKED, "placed": PLACED, "fleet": FLEET}

_INNER = ("contains", "items", "not", "additionalProperties", "propertyNames")
_SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
_PLAIN = (
    *("type", "const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
    *("required", "minProperties", "maxProperties"),
)
KEYWORDS = (*_PLAIN, *_INNER, *_SEVERAL, "properties")


class PolicyChecks:
    """What is wrong with the paths and fragments of one file."""

    def __init__(self, tree: Node, grammar: Grammar, deployments: set[str], texts: Mapping[str, str]) -> None:
        self.tree, self.grammar, self.deployments, self.texts = tree, grammar, deployments, texts

    def run(self) -> Iterator[Problem]:
        for group in ("match", "require"):
            node = get(self.tree, group)
            for written, entry in (node.entries if node else {}).items():
                yield from self._path(group, written)
                yield from self._fragment(entry.node, (group, written))
        exempt = get(self.tree, "exempt")
        for name, entry in (exempt.entries if exempt else {}).items():
            if name not in self.deployments:
                hint = did_you_mean(name, self.deployments)
                yield problem(entry.key, f"there is no deployment {shown(name)}", hint, self.texts)

    def _at(self, path: Path, message: str, hint: str | None = None) -> Problem:
        return problem(walk(self.tree, path).key, message, hint, self.texts)

    def _path(self, group: str, written: str) -> Iterator[Problem]:
        """Each part must be one that a deployment can have, or a fact."""
        parts = written.split(".")
        facts = FACTS.get(parts[0])
        if facts is not None:
            if len(parts) != 2 or parts[1] not in facts:
                hint = did_you_mean(parts[-1], facts)
                yield self._at((group, written), f"there is no fact {shown(written)}", hint)
            return
        for length in range(1, len(parts) + 1):
            if not self.grammar.knows(tuple(parts[:length])):
                names = [*self.grammar.names(tuple(parts[: length - 1])), *(FACTS if length == 1 else ())]
                within = ".".join(parts[: length - 1]) or "a deployment"
                hint = did_you_mean(parts[length - 1], names)
                yield self._at((group, written), f"{within} has no {shown(parts[length - 1])}", hint)
                return

    def _fragment(self, node: Node, path: Path) -> Iterator[Problem]:
        """Keywords first; what they hold is the library's to judge, and only when all of them are known."""
        found = list(self._keywords(node, path))
        yield from found
        if found or not isinstance(node.value, dict):
            return
        from jsonschema import Draft202012Validator, SchemaError  # late: a fleet without policies needs none of it

        try:
            Draft202012Validator.check_schema(plain(node))
        except SchemaError as error:
            inner = (*path, *(part for part in error.absolute_path))
            yield self._at(inner, f"this is not what {shown(inner[-1])} takes: {error.message[:120]}")

    def _keywords(self, node: Node, path: Path) -> Iterator[Problem]:
        if not isinstance(node.value, dict):
            return
        if not node.entries:
            yield self._at(path, "asks nothing", "write what it must be, such as {minimum: 2}")
        for keyword, entry in node.entries.items():
            here = (*path, keyword)
            if keyword not in KEYWORDS:
                hint = did_you_mean(keyword, KEYWORDS) or "keywords are those of JSON Schema"
                yield self._at(here, f"there is no keyword {shown(keyword)}", hint)
            elif entry.node.value is None:
                yield self._at(here, f"{keyword} has no value", "for nothing at all, write type: 'null'")
            elif keyword == "pattern":
                yield from self._pattern(here, entry.node.value)
            else:
                yield from self._inner(keyword, entry.node, here)

    def _inner(self, keyword: str, node: Node, path: Path) -> Iterator[Problem]:
        """The schemas that a keyword holds."""
        if keyword in _INNER:
            yield from self._keywords(node, path)
        elif keyword in _SEVERAL:
            for number, one in enumerate(node.items):
                yield from self._keywords(one, (*path, number))
        elif keyword == "properties":
            for name, entry in node.entries.items():
                yield from self._keywords(entry.node, (*path, name))

    def _pattern(self, path: Path, pattern: object) -> Iterator[Problem]:
        try:
            re.compile(str(pattern))
        except (re.error, RecursionError, OverflowError) as error:
            yield self._at(path, f"this is not a regular expression: {error}")
