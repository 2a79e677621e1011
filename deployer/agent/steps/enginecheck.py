"""`engine.check`: the engine's own judgement of its options, before anything stops for it. It is asked once for the same options,
environment and model on this host; what it cannot tell, the start will.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional

from deployer.agent import files, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts.state import listing
from deployer.agent.steps.base import ALREADY, Before, Step
from deployer.agent.steps.model import child
from deployer.agent.system import TooLong
from deployer.agent.times import iso

FOLDER = wire.ROOT_CACHE + "/checked"
KEPT = 200  # answers
LIMIT_S = 120.0
#: `checker` → the script that an environment's Python runs.
CHECKERS = {"vllm": "vllm_check.py"}


class Check(Step):
    def check(self, ctx: Context) -> Before:
        return dict(ALREADY) if files.read_json(ctx.system, _path(ctx)) is not None else {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        script = CHECKERS.get(str(ctx.args.get("checker")))
        if script is None:
            raise StepFailed("there is no checker %r" % (ctx.args.get("checker"),))
        ctx.progress(phase="asking the engine about its options")
        said = _ask(ctx, child(script))
        if said.get("wrong"):
            where = "%s: " % ctx.args["where"] if ctx.args.get("where") else ""
            raise StepFailed(
                "the engine refuses its options: %s" % said["wrong"],
                cause="an option that the engine refuses",
                hint="%scorrect it there; nothing was stopped for it" % where,
            )
        if said:
            return "not told: %s" % str(said.get("unknown"))[:300]
        _note(ctx)
        return None


def _ask(ctx: Context, script: str) -> Dict[str, Any]:
    """{} when all is well, else {"wrong": …} or {"unknown": …}."""
    files.make_directories(ctx.system, FOLDER)
    env = dict(ctx.environment(), HOME=ctx.system.path(FOLDER))
    env.update({str(name): str(value) for name, value in (ctx.args.get("environ") or {}).items()})
    python = "%s/bin/python" % ctx.system.path(ctx.path("env"))
    try:
        done = ctx.system.run(
            [python, "-I", script], input=str(ctx.args["text"]).encode(), timeout=LIMIT_S, env=env, tick=ctx.check
        )
    except (OSError, TooLong) as error:
        return {"unknown": str(error)}
    if done.rc != 0:
        return {"unknown": "it ended with %d" % done.rc}
    lines: List[str] = [line for line in done.out.decode("utf-8", "replace").splitlines() if line.startswith("{")]
    if not lines:
        return {}
    try:
        found = json.loads(lines[-1])
    except ValueError:
        return {"unknown": "its answer cannot be read"}
    return found if isinstance(found, dict) else {}


def _note(ctx: Context) -> None:
    files.write_json(ctx.system, _path(ctx), {"at": iso(ctx.system.now())})
    names = [name for name in listing(ctx.system, FOLDER) if name.endswith(".json")]
    for name in sorted(names)[: max(0, len(names) - KEPT)]:
        files.remove(ctx.system, "%s/%s" % (FOLDER, name))


def _path(ctx: Context) -> str:
    key = str(ctx.args["key"])
    if not re.match(r"[0-9a-f]{8,64}\Z", key):
        raise StepFailed("%r is not the key of a check" % key)
    return "%s/%s.json" % (FOLDER, key)
