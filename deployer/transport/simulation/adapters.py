"""The LoRA adapters of a simulated vLLM: those its configuration names, and what it is told over its API. Used by machine."""

import json
import re
from http import HTTPStatus


def from_config(whole: str) -> dict[str, str] | None:
    """Name → folder, from all texts that a unit starts with; None for an engine without adapters."""
    if not re.search(r"^enable-lora: true$", whole, re.MULTILINE):
        return None
    found = re.search(r"^lora-modules: (\[.*\])$", whole, re.MULTILINE)
    listed = [json.loads(one) for one in json.loads(found[1])] if found else []
    return {one["name"]: one["path"] for one in listed}


def answer(adapters: dict[str, str] | None, path: str, body: bytes | None) -> tuple[int, bytes] | None:
    """None: the request is about something else. `adapters` changes with what it says."""
    if path == "/v1/models":
        cards = [{"id": name, "root": root, "parent": "base"} for name, root in (adapters or {}).items()]
        return HTTPStatus.OK, json.dumps({"data": [{"id": "base", "root": "/m", "parent": None}, *cards]}).encode()
    verb = re.fullmatch(r"/v1/(load|unload)_lora_adapter", path)
    if verb is None:
        return None
    if adapters is None:
        return HTTPStatus.NOT_FOUND, b'{"detail": "Not Found"}'
    said = json.loads(body or b"{}")
    name = said["lora_name"]
    if verb[1] == "unload":
        if name not in adapters:
            return _error(HTTPStatus.NOT_FOUND, f"The lora adapter '{name}' cannot be found.")
        del adapters[name]
        return HTTPStatus.OK, b"Success"
    if name in adapters and not said.get("load_inplace"):
        return _error(HTTPStatus.BAD_REQUEST, f"The lora adapter '{name}' has already been loaded.")
    if "missing" in said["lora_path"]:
        return _error(HTTPStatus.NOT_FOUND, f"Loading lora {name} failed: No adapter found for {said['lora_path']}")
    if "broken" in said["lora_path"]:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "LoRA rank 64 is greater than max_lora_rank 16.")
    adapters[name] = said["lora_path"]
    return HTTPStatus.OK, b"Success"


def _error(status: HTTPStatus, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"message": message, "code": int(status)}}).encode()
