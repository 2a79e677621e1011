"""`unit.adapters`: a running engine serves these LoRA adapters and no others, told over its own API on loopback. Today vLLM's:
POST /v1/load_lora_adapter and /v1/unload_lora_adapter, which no gateway lets through.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from deployer.agent.context import Context, StepFailed
from deployer.agent.steps.base import ALREADY, Before, Step
from deployer.agent.steps.units import own, state

Adapters = Dict[str, str]  # name → folder
LOAD_S = 300.0


def _wanted(listed: Any) -> Adapters:
    return {str(one["name"]): str(one["path"]) for one in listed or []}


class Follow(Step):
    def check(self, ctx: Context) -> Before:
        if state(ctx, own(ctx)).get("ActiveState") != "active":
            return dict(ALREADY)  # its files say what it serves when it starts
        served = _served(ctx)
        return dict(ALREADY) if served == _wanted(ctx.args.get("adapters")) else {"adapters": _listed(served)}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        return _follow(ctx, _wanted(ctx.args.get("adapters")))

    def undo(self, ctx: Context, before: Before) -> None:
        if state(ctx, own(ctx)).get("ActiveState") == "active":
            _follow(ctx, _wanted(before.get("adapters")))


def _listed(adapters: Adapters) -> List[Dict[str, str]]:
    return [{"name": name, "path": path} for name, path in sorted(adapters.items())]


def _follow(ctx: Context, wanted: Adapters) -> str:
    """What is new comes before anything goes. Gives what it did, in words."""
    served = _served(ctx)
    said = []
    for name, path in sorted(wanted.items()):
        if served.get(name) != path:
            ctx.progress(phase="loading the adapter %s" % name)
            _tell(ctx, "load", {"lora_name": name, "lora_path": path, "load_inplace": name in served})
            said.append("%s %s" % ("changed" if name in served else "loaded", name))
    for name in sorted(set(served) - set(wanted)):
        _tell(ctx, "unload", {"lora_name": name})
        said.append("removed %s" % name)
    return ", ".join(said) or "as wanted"


def _served(ctx: Context) -> Adapters:
    """An adapter is listed with the model it belongs to; `root` is its folder."""
    status, body = _ask(ctx, "GET", "/v1/models", None, 30.0)
    try:
        if status == 200:
            return {str(one["id"]): str(one.get("root")) for one in json.loads(body)["data"] if one.get("parent")}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise StepFailed("the engine does not say which adapters it serves: /v1/models answers %d" % status)


def _tell(ctx: Context, verb: str, body: Dict[str, Any]) -> None:
    status, answer = _ask(ctx, "POST", "/v1/%s_lora_adapter" % verb, body, LOAD_S)
    if status == 200:
        return
    why = "it was started without adapters" if status == 404 and b'"error"' not in answer else _why(answer)
    raise StepFailed("the engine does not %s the adapter %s: %s" % (verb, body["lora_name"], why))


def _why(answer: bytes) -> str:
    """vLLM's own words; they are those of its log."""
    text = answer.decode("utf-8", "replace").strip()
    try:
        error = json.loads(text).get("error")
        return str(error.get("message") if isinstance(error, dict) else error or text)[:500]
    except (ValueError, AttributeError):
        return text[:500]


def _ask(ctx: Context, method: str, path: str, body: Optional[Dict[str, Any]], timeout: float) -> Any:
    url = "http://127.0.0.1:%d%s" % (int(ctx.args["port"]), path)
    data = None if body is None else json.dumps(body).encode()
    try:
        return ctx.system.http(method, url, {"Content-Type": "application/json"} if data else {}, data, timeout=timeout)
    except OSError as error:
        raise StepFailed("the engine does not answer on port %s: %s" % (ctx.args["port"], error.strerror or error)) from None
