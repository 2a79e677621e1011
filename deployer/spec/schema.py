"""JSON Schema of the kinds of file, made from the models: for editors, and for our own messages.

`deployer schema` writes them, `schemas/` holds those of the built-in engines, a test compares. By hand is only what pydantic
cannot know: that a file which `extends` another one may leave things out, and that null means "not written".
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deployer.spec.models import CatalogEntry, DeploymentSpec, FleetFile, HostSpec, PolicySpec

Schema = dict[str, Any]
OWN = ("name", "model", "previous_names")  # of one deployment alone: not in `defaults`
_TITLES = {"deployer": "deployer.yaml", "policy": "policies/*.yaml", "catalog": "catalog/*.yaml"}
_WHOLE = ("HostSpec", "FleetFile", "PolicySpec", "CatalogEntry")  # files that nothing is laid beneath
_DIALECTS = {"": "https://json-schema.org/draft/2020-12/schema", ".draft-07": "http://json-schema.org/draft-07/schema#"}


def schemas(settings: Mapping[str, type[BaseModel]]) -> dict[str, Schema]:
    """File name → schema, each in 2020-12 and in draft-07; `settings` maps an engine's name to its settings model."""
    made: dict[str, Schema] = {}
    for kind, schema in documents(settings).items():
        title = _TITLES.get(kind, f"{kind}s/*.yaml")
        for suffix, dialect in _DIALECTS.items():
            full = {"$schema": dialect, "title": title, **schema}
            made[f"{kind}{suffix}.schema.json"] = _draft_07(full) if suffix else full
    return made


def documents(settings: Mapping[str, type[BaseModel]]) -> dict[str, Schema]:
    """ "deployment", "host", "policy", "catalog" and "deployer" → schema without a dialect."""
    defs = _definitions(settings)
    deployment, part = defs["DeploymentSpec"], _part(defs["DeploymentSpec"])
    parts = {f"{name}Part": _part(schema) for name, schema in defs.items() if name not in _WHOLE}
    for choice, suffix in ((deployment, ""), (part, "Part")):
        choice["properties"]["engine"] = _engine(settings, suffix)
    extends = {"type": "string", "minLength": 1, "description": "Another file of the fleet, laid beneath this one."}
    for choice in (deployment, part):
        choice["properties"]["extends"] = _or_null(extends)
    defs |= parts | {"DeploymentSpec": deployment, "DeploymentSpecPart": part, "Defaults": _defaults(part)}
    listed = defs["CatalogEntry"]["properties"]
    listed["engines"] = {"description": listed["engines"]["description"], **_engines(settings)}
    defs["FleetFile"]["properties"]["defaults"] = _or_null({"$ref": "#/$defs/Defaults"})
    either = {
        "if": {"type": "object", "required": ["extends"], "properties": {"extends": {"type": "string"}}},
        "then": {"$ref": "#/$defs/DeploymentSpecPart"},
        "else": {"$ref": "#/$defs/DeploymentSpec"},
    }
    roots: dict[str, Schema] = {
        "deployment": either,
        "host": {"$ref": "#/$defs/HostSpec"},
        "policy": {"$ref": "#/$defs/PolicySpec"},
        "catalog": {"$ref": "#/$defs/CatalogEntry"},
        "deployer": {"$ref": "#/$defs/FleetFile"},
    }
    return {kind: {**root, "$defs": _reached(root, defs)} for kind, root in roots.items()}


def text_of(schema: Schema) -> str:
    """The bytes of the committed file."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(directory: Path, settings: Mapping[str, type[BaseModel]]) -> list[str]:
    """Writes every schema file; returns the names of those that changed."""
    changed = drift(directory, settings)
    directory.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (directory / name).write_text(text_of(schemas(settings)[name]), encoding="utf-8")
    return changed


def drift(directory: Path, settings: Mapping[str, type[BaseModel]]) -> list[str]:
    """Names of schema files that are missing or are not what the models say."""
    wanted = {name: text_of(schema) for name, schema in schemas(settings).items()}
    return [name for name, text in sorted(wanted.items()) if _read(directory / name) != text]


def _read(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _definitions(settings: Mapping[str, type[BaseModel]]) -> dict[str, Schema]:
    """Every model by name; `settings` under "engine:NAME"."""
    models: list[type[BaseModel]] = [DeploymentSpec, HostSpec, FleetFile, PolicySpec, CatalogEntry, *settings.values()]
    references, made = models_json_schema([(model, "validation") for model in models])
    defs: dict[str, Schema] = made["$defs"]
    for schema in defs.values():
        _tidy(schema)
    for name, model in settings.items():
        reference = references[(model, "validation")]["$ref"].rsplit("/", 1)[1]
        if reference != f"engine:{name}":
            defs[f"engine:{name}"] = {"$ref": f"#/$defs/{reference}"}
    return defs


def _tidy(schema: Schema) -> None:
    """Takes pydantic's titles and untrue defaults away, and lets every line that may be left out be null."""
    schema.pop("title", None)
    required = schema.get("required", [])
    for name, child in schema.get("properties", {}).items():
        child.pop("title", None)
        default = child.get("default")
        if default is None or (child.get("type") == "string" and not isinstance(default, str)) or default in ({}, []):
            child.pop("default", None)
        _tidy_values(child)
        if name not in required:
            schema["properties"][name] = _or_null(child)


def _tidy_values(child: Schema) -> None:
    """Free mappings: a null value unsets, and a key that fits no pattern is wrong."""
    patterns = child.get("patternProperties")
    if patterns:
        child["additionalProperties"] = False
        child["patternProperties"] = {key: _or_null(value) for key, value in patterns.items()}
    elif isinstance(child.get("additionalProperties"), dict):
        child["additionalProperties"] = _or_null(child["additionalProperties"])


def _or_null(schema: Schema) -> Schema:
    if schema.get("type") == "null" or {"type": "null"} in schema.get("anyOf", []) or not schema:
        return schema
    outer: Schema = {key: schema[key] for key in ("description", "default", "errorMessage") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in ("description", "default")}
    return {**outer, "anyOf": [inner, {"type": "null"}]}


def _part(schema: Any) -> Any:
    """The same, where anything may be left out because another file brings it. Lists replace, so they stay whole."""
    if not isinstance(schema, dict):
        return [_part(item) for item in schema] if isinstance(schema, list) else schema
    made: Schema = {}
    for key, value in schema.items():
        if key == "required" or (key in ("oneOf", "anyOf") and any("required" in option for option in value)):
            continue
        if key == "items":
            made[key] = value
        elif key in ("properties", "patternProperties"):
            made[key] = {name: _part(child) for name, child in value.items()}
        elif key == "$ref":
            made[key] = value + "Part"
        else:
            made[key] = _part(value)
    return made


def _engine(settings: Mapping[str, type[BaseModel]], suffix: str) -> Schema:
    """The choice of one engine; null for another one is how a file takes away what `extends` brought."""
    names = sorted(settings)
    choice: Schema = {
        "type": "object",
        "description": "What serves the model: one engine and its settings.",
        "properties": {name: _or_null({"$ref": f"#/$defs/engine:{name}{suffix}"}) for name in names},
        "additionalProperties": False,
    }
    if suffix:
        return _or_null(choice)
    nothing = {"type": "null"}
    choices = [{"required": [one], "properties": {name: nothing for name in names if name != one}} for one in names]
    return {**choice, "oneOf": choices}


def _engines(settings: Mapping[str, type[BaseModel]]) -> Schema:
    """Any number of engines, each with its settings."""
    properties = {name: _or_null({"$ref": f"#/$defs/engine:{name}"}) for name in sorted(settings)}
    return {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}


def _defaults(part: Schema) -> Schema:
    """`defaults:` of deployer.yaml: a part of a deployment, with the settings of any number of engines."""
    properties = {name: schema for name, schema in part["properties"].items() if name not in (*OWN, "extends")}
    return {**part, "properties": properties, "description": "Laid beneath every deployment."}


def _reached(root: Schema, defs: dict[str, Schema]) -> dict[str, Schema]:
    """The definitions that the root needs, in order of name."""
    found: set[str] = set()
    waiting = list(_references(root))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(defs[name])
    return {name: defs[name] for name in sorted(found)}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rsplit("/", 1)[1]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _draft_07(schema: Any) -> Any:
    """The same for editors that know draft-07 only: `definitions` instead of `$defs`."""
    if isinstance(schema, list):
        return [_draft_07(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {("definitions" if key == "$defs" else key): _draft_07(value) for key, value in schema.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace("#/$defs/", "#/definitions/")
    return made
