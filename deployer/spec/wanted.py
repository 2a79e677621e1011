"""What a field wants, in words, read from its JSON Schema: so that editor, message and model never differ. For `spec.explain`."""

import json
from typing import Any

from deployer.spec.tree import Path

Schema = dict[str, Any]


class Grammar:
    """One kind of file: its schema, and questions about the field at a path."""

    def __init__(self, schema: Schema, noun: str) -> None:
        self.root = schema
        self.noun = noun

    def at(self, path: Path) -> Schema | None:
        """The schema of the field, without references and without "or null"; None when there is no such field."""
        schema: Schema | None = self.open(self.root)
        for part in path:
            schema = self._step(schema, part) if schema else schema  # {} takes anything, and anything in it
        return schema

    def open(self, schema: Schema) -> Schema:
        """Follows references, and takes "or null" away."""
        while True:
            if "$ref" in schema:
                schema = self.root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
            elif len(options := [o for o in schema.get("anyOf", ()) if o != {"type": "null"} and "required" not in o]) == 1:
                schema = options[0]
            else:
                return schema

    def _step(self, schema: Schema, part: str | int) -> Schema | None:
        for option in [schema, *map(self.open, schema.get("anyOf", ()))]:
            if isinstance(part, int):
                child = option.get("items")
            elif part in option.get("propertyNames", {}).get("enum", [part]):
                child = option.get("properties", {}).get(part, _free(option))
            else:
                child = None
            if child is not None:
                return self.open(child)
        return None

    def knows(self, path: Path) -> bool:
        """Whether this field may be written."""
        return self.at(path) is not None

    def names(self, path: Path) -> list[str]:
        """The keys that a mapping may have; empty when it takes any."""
        schema = self.at(path) or {}
        fields = [name for name, child in schema.get("properties", {}).items() if self.open(child).get("not") != {}]
        return [*fields, *schema.get("propertyNames", {}).get("enum", ())]

    def is_secret(self, path: Path) -> bool:
        """Whether the path is, or lies in, a reference to a secret."""
        schemas = [self.at(path[:length]) or {} for length in range(len(path) + 1)]
        return any({"env", "file", "command"} == set(schema.get("properties", ())) for schema in schemas)

    def wanted(self, path: Path) -> str | None:
        """ "must be a whole number from 1 to 65535"; None when the schema does not say."""
        schema = self.at(path)
        if schema is None:
            return None
        if self.is_secret(path) and schema.get("properties"):
            return "must be a reference such as {env: NAME}, {file: PATH} or {command: [...]}"
        said = schema.get("errorMessage") or schema.get("patternErrorMessage")
        if said:
            return str(said)
        phrase = self._phrase(schema)
        return f"must be {phrase}" if phrase else None

    def _phrase(self, schema: Schema) -> str | None:
        schema = self.open(schema)
        if "patternErrorMessage" in schema:
            return str(schema["patternErrorMessage"]).removeprefix("must be ")
        choices = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
        if choices:
            return _either([c if isinstance(c, str) else json.dumps(c) for c in choices])
        options = [phrase for option in schema.get("anyOf", ()) if (phrase := self._phrase(option))]
        if options:
            return _either(options)
        kind = schema.get("type")
        if kind in ("integer", "number"):
            return ("a whole number" if kind == "integer" else "a number") + _bounds(schema)
        if "pattern" in schema:
            return f"text that matches {schema['pattern']}"
        if kind == "array":
            return "a list" if schema.get("items") in (None, {}) else f"a list, each item {self._phrase(schema['items'])}"
        words = {"string": "text", "boolean": "true or false", "object": "a mapping", "null": "nothing"}
        return words.get(str(kind))


def _free(schema: Schema) -> Schema | None:
    """What any key of a free mapping holds."""
    for child in schema.get("patternProperties", {}).values():
        return dict(child)
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        return rest
    return {} if rest is True else None


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    start = f" of at least {low}" if low is not None else f" above {above}" if above is not None else ""
    end = f"at most {high}" if high is not None else f"below {below}" if below is not None else ""
    return start + (" and " if start and end else " of " if end else "") + end


def _either(options: list[str]) -> str:
    unique = list(dict.fromkeys(options))
    return unique[0] if len(unique) == 1 else ", ".join(unique[:-1]) + " or " + unique[-1]
