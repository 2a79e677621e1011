"""`engine.check`: the engine's own judgement of its options, before anything stops for it. It is asked once for the same options,
environment and model on this host; what it cannot tell, the start will. What was asked here for the plan is only noted.
"""

from __future__ import annotations

from typing import Optional

from deployer.agent import files, judge
from deployer.agent.context import Context, StepFailed
from deployer.agent.paths import Refusal
from deployer.agent.steps.base import ALREADY, Before, Step

LIMIT_S = 120.0


class Check(Step):
    def check(self, ctx: Context) -> Before:
        try:
            return dict(ALREADY) if judge.noted(ctx.system, str(ctx.args["key"])) else {}
        except Refusal as error:
            raise StepFailed(str(error)) from None

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        if not ctx.args.get("judged"):
            ctx.progress(phase="asking the engine about its options")
            ctx.path("env")
            files.make_directories(ctx.system, judge.FOLDER)
            said = judge.ask(ctx.system, ctx.args, ctx.system.path(judge.FOLDER), ctx.check, LIMIT_S)
            if said.get("wrong"):
                where = "%s: " % ctx.args["where"] if ctx.args.get("where") else ""
                raise StepFailed(
                    "the engine refuses its options: %s" % said["wrong"],
                    cause="an option that the engine refuses",
                    hint="%scorrect it there; nothing was stopped for it" % where,
                )
            if said:
                return "not told: %s" % str(said.get("unknown") or said.get("late"))[:300]
        judge.note(ctx.system, str(ctx.args["key"]))
        return None
