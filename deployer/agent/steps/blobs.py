"""`blob.receive`: waits until `put` has brought what the next steps need."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from deployer.agent import put, runs
from deployer.agent.context import Context, StepFailed
from deployer.agent.meter import Meter
from deployer.agent.steps.base import ALREADY, Before, Step

STALL_S = 120.0  # without a byte, once bytes came
AGAIN = "apply again: it goes on from where it stopped"
FIRST_S = 600.0  # until the first: the controller may be busy with other hosts


class Receive(Step):
    def check(self, ctx: Context) -> Before:
        return dict(ALREADY) if not self._missing(ctx) else {}

    def _missing(self, ctx: Context) -> List[Dict[str, Any]]:
        return [b for b in ctx.args.get("blobs", []) if not put.is_there(ctx.system, str(b["sha256"]), int(b["size"]))]

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        blobs = ctx.args.get("blobs", [])
        meter = Meter(ctx, sum(int(b["size"]) for b in blobs), "receiving")
        seen, since, waited = -1, ctx.system.clock(), float(ctx.args.get("stall_s") or FIRST_S)
        while self._missing(ctx):
            ctx.check()
            done = sum(min(int(b["size"]), put.received(ctx.system, str(b["sha256"]))) for b in blobs)
            if done != seen:
                waited = float(ctx.args.get("stall_s") or (STALL_S if seen >= 0 else FIRST_S))
                seen, since = done, ctx.system.clock()
                meter.show(done)
            elif ctx.system.clock() - since > waited:
                raise StepFailed("no bytes came from the controller for %.0f s" % waited, hint=AGAIN)
            elif self._alone(ctx, since):
                raise StepFailed("the controller is gone, and only it has what is missing here", hint=AGAIN)
            ctx.system.pause(0.05)
        meter.show(meter.total)
        return None

    def _alone(self, ctx: Context, since: float) -> bool:
        """Nobody has said a word for as long as a barrier of this stage would wait for one: bytes will not come either."""
        barrier = (ctx.shared.request.get("barriers") or {}).get(ctx.step["stage"]) or {}
        patience = float(barrier.get("deadline_s") or FIRST_S)
        return ctx.system.clock() - max(since, runs.heard(ctx.system, ctx.shared.run)) > patience
