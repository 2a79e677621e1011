"""pydantic's errors → problems in plain sentences, one per place. Called by `spec.validate`."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from deployer.errors import Problem
from deployer.spec.problems import problem
from deployer.spec.scalars import quoted
from deployer.spec.tree import Found, Node, Path, Place, walk
from deployer.spec.wanted import Grammar

LONGEST = 60


class Said(NamedTuple):
    """What is wrong, and what to do."""

    message: str
    hint: str | None = None


class Explainer:
    """The errors of one document, in words."""

    def __init__(self, grammar: Grammar, root: Node, texts: Mapping[str, str]) -> None:
        self.grammar = grammar
        self.root = root
        self.texts = texts
        self.secrets: list[Place] = []  # values that stand where only a reference may: never shown

    def problems(self, errors: Iterable[Mapping[str, Any]], prefix: Path = ()) -> list[Problem]:
        """One problem per place: a union gives one message, not one per member."""
        made: dict[tuple[Path, str], Problem] = {}
        for error in errors:
            loc: Path = (*prefix, *error["loc"])
            kind = error["type"]
            if kind == "missing":
                made[(loc, kind)] = self.missing(loc)
            elif kind == "extra_forbidden":
                made[(loc, kind)] = self.unknown(loc)
            elif loc and loc[-1] == "[key]":
                made[(loc, kind)] = self.bad_key(loc[:-1])
            else:
                found = walk(self.root, loc)
                made.setdefault((found.path, "value"), self.value(found, kind, error))
        return list(made.values())

    def missing(self, loc: Path) -> Problem:
        found = walk(self.root, loc[:-1])
        return problem(found.key, f"{self.name(loc[:-1])} needs {loc[-1]}", None, self.texts)

    def unknown(self, path: Path) -> Problem:
        """A key that is not a field."""
        found = walk(self.root, path)
        hint = did_you_mean(str(path[-1]), self.grammar.names(path[:-1]))
        if self.grammar.is_secret(path[:-1]):
            self.secrets.append(found.node.place)
        return problem(found.key, f"{self.name(path[:-1])} has no {shown(path[-1])}", hint, self.texts)

    def bad_key(self, path: Path) -> Problem:
        """A key that its mapping does not allow."""
        if self.grammar.names(path[:-1]):
            return self.unknown(path)
        message = f"{shown(path[-1])} in {self.name(path[:-1])} must be one line of text"
        return problem(walk(self.root, path).key, message, None, self.texts)

    def value(self, found: Found, kind: str, error: Mapping[str, Any]) -> Problem:
        secret = self.grammar.is_secret(found.path)
        said = self.sentence(found, kind, error, secret=secret)
        place = found.key if found.node.block or kind in ("one_of", "needs") else found.node.place
        if secret:
            self.secrets.append(found.node.place)
        return problem(place, said.message, said.hint, self.texts)

    def sentence(self, found: Found, kind: str, error: Mapping[str, Any], *, secret: bool) -> Said:
        name, node = self.name(found.path), found.node
        if kind in ("one_of", "needs"):
            return Said(f"{name} {error['msg']}")
        if kind == "later":
            said = f"{node.raw[:LONGEST]} {error['msg']}" if node.raw else error["msg"]
            return Said(f"{name} {said}" if said.startswith("is ") else f"{name}: {said}")
        if kind in ("value_error", "assertion_error"):
            return Said(f"{name}: {error['msg'].split(', ', 1)[-1]}")
        wanted = error["msg"] if kind == "wanted" else self.grammar.wanted(found.path)
        if wanted is None:
            return Said(f"{name}: {error['msg']}")
        if secret:
            return Said(f"{name} {wanted}", "a secret itself is never written here")
        return Said(f"{name} {wanted}, not {described(node)}", self.hint(found.path, node, wanted))

    def hint(self, path: Path, node: Node, wanted: str) -> str | None:
        schema = self.grammar.at(path) or {}
        texts = schema.get("type") == "string"
        if node.raw is None:
            return None
        if schema.get("type") == "array":
            return f"write [{node.raw}]" if len(node.raw) <= LONGEST else None
        if not isinstance(node.value, str):
            if "duration" in wanted:
                return f"did you mean {node.raw}s?"
            return (
                f"write {quoted(node.raw)}"
                if texts and not any(form in wanted for form in ("size", "range", "price", "share"))
                else None
            )
        if "size" in wanted and node.raw[-1:] in tuple("KMGT"):
            return f"did you mean {node.raw}iB?"
        if schema.get("enum"):
            return nearest(node.value, [str(choice) for choice in schema["enum"]])
        number = node.value.lstrip("-").replace(".", "", 1).isdecimal()
        return "write it without quotes" if number and schema.get("type") in ("integer", "number") else None

    def name(self, path: Path) -> str:
        """ "endpoint.keys[0].name"; the whole document is "a deployment"."""
        return dotted(path) or self.grammar.noun


def dotted(path: Path) -> str:
    """A path as a person writes it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """ "did you mean …?", when one of the choices is near."""
    known = sorted(choices)
    near = get_close_matches(word, known, n=1, cutoff=0.6) or [k for k in known if k.lower() == word.lower()]
    return f"did you mean {near[0]}?" if near else None


def did_you_mean(word: str, choices: Iterable[str]) -> str | None:
    """The nearest choice as a hint; all of them when they are few and none is near."""
    known = sorted(choices)
    there = "there is only " if len(known) == 1 else "there are "
    return nearest(word, known) or (there + ", ".join(known) if 0 < len(known) <= 8 else None)


def described(node: Node) -> str:
    """A value in a message."""
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    if node.raw == "":
        return '""' if isinstance(node.value, str) else "nothing"
    if isinstance(node.value, str):
        return shown(node.value, '"')
    return str(node.raw)[:LONGEST]


def shown(value: object, quote: str = "'") -> str:
    """Text in quotes, short and on one line."""
    text = str(value)
    cut = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return quote + json.dumps(cut, ensure_ascii=False)[1:-1].replace('\\"', '"') + quote
