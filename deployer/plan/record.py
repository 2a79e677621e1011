"""A resource as JSON and back: how it is kept in the record on a host, in a saved plan, and in `plan --json`."""

from collections.abc import Mapping
from typing import Any

from deployer.spec.source import Source
from deployer.state.resources import Attribute, Kind, Resource

#: The record of what belongs to a host and to no deployment. Not a possible deployment name.
HOST_RECORD = "_host"


def source_json(source: Source | None) -> dict[str, Any] | None:
    return None if source is None else {"file": source.file, "line": source.line, "column": source.column}


def source_from(data: Mapping[str, Any] | None) -> Source | None:
    return None if data is None else Source(data["file"], data["line"], data["column"])


def attribute_json(attribute: Attribute) -> dict[str, Any]:
    return {
        "name": attribute.name,
        "value": attribute.value,
        "restarts": attribute.restarts,
        "secret": attribute.secret,
    }


def resource_json(resource: Resource) -> dict[str, Any]:
    return {
        "host": resource.host,
        "kind": str(resource.kind),
        "name": resource.name,
        "deployment": resource.deployment,
        "attributes": [attribute_json(a) for a in resource.attributes],
        "payload": dict(resource.payload),
        "needs": list(resource.needs),
        "download_bytes": resource.download_bytes,
        "disk_bytes": resource.disk_bytes,
        "vram_bytes": resource.vram_bytes,
    }


def resource_from(data: Mapping[str, Any]) -> Resource:
    return Resource(
        host=data["host"],
        kind=Kind(data["kind"]),
        name=data["name"],
        deployment=data.get("deployment"),
        attributes=tuple([Attribute(a["name"], a["value"], a["restarts"], a["secret"]) for a in data.get("attributes", ())]),
        payload=data.get("payload", {}),
        needs=tuple(data.get("needs", ())),
        download_bytes=data.get("download_bytes", 0),
        disk_bytes=data.get("disk_bytes", 0),
        vram_bytes=data.get("vram_bytes", 0),
    )


def known_secrets(resource: Resource, fingerprints: Mapping[str, str]) -> Resource:
    """The resource with the fingerprints that the host itself made when it wrote the secrets: when a plan is made for a new
    host there is no key yet to make one with. `fingerprints`: by secret id.
    """
    keys = resource.payload.get("keys")
    ids = {f"key {key['name']}": key["secret"] for key in keys if "secret" in key} if keys else {}
    if not ids:
        return resource

    def known(a: Attribute) -> Attribute:
        return a._replace(value=fingerprints.get(ids[a.name], a.value)) if a.secret and a.name in ids else a

    return resource._replace(attributes=tuple(known(a) for a in resource.attributes))
