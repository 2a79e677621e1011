"""`blob.receive`: waits until `put` has brought what the next steps need."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from deployer.agent import put, runs
from deployer.agent.context import Context, StepFailed
from deployer.agent.meter import Meter
from deployer.agent.steps.base import ALREADY, Before, Step

STALL_S = 120.0  # without a byte, once bytes came
AGAIN = "apply again: it goes on from where it stopped"
FIRST_S = 600.0  # until the first: the controller may be busy with other hosts


class Receive(Step):
    def check(self, ctx: Context) -> Before:
        return dict(ALREADY) if not missing(ctx, ctx.args.get("blobs", [])) else {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        given = ctx.args.get("stall_s")
        first_s, stall_s = (float(given), float(given)) if given else (FIRST_S, STALL_S)
        wait_for(ctx, ctx.args.get("blobs", []), first_s, stall_s)
        return None


def missing(ctx: Context, blobs: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    return [b for b in blobs if not put.is_there(ctx.system, str(b["sha256"]), int(b["size"]))]


def wait_for(
    ctx: Context, blobs: List[Dict[str, Any]], first_s: float, stall_s: float, look: Callable[[], object] = lambda: None
) -> None:
    """Until all of them are here. `first_s`: how long without any byte, `stall_s`: once some came. `look` may raise StepFailed:
    somebody says that they will not come.
    """
    meter = Meter(ctx, sum(int(b["size"]) for b in blobs), "receiving")
    seen, since, waited = -1, ctx.system.clock(), first_s
    while missing(ctx, blobs):
        ctx.check()
        look()
        done = sum(min(int(b["size"]), put.received(ctx.system, str(b["sha256"]))) for b in blobs)
        if done != seen:
            waited = stall_s if seen >= 0 else first_s
            seen, since = done, ctx.system.clock()
            meter.show(done)
        elif ctx.system.clock() - since > waited:
            raise StepFailed("no bytes came from the controller for %.0f s" % waited, hint=AGAIN)
        else:
            not_alone(ctx, since)
        ctx.system.pause(0.05)
    meter.show(meter.total)


def not_alone(ctx: Context, since: float) -> None:
    """Raises StepFailed when nobody has said a word for as long as a barrier of this stage would wait for one: what is waited
    for will not come either.
    """
    barrier = (ctx.shared.request.get("barriers") or {}).get(ctx.step["stage"]) or {}
    patience = float(barrier.get("deadline_s") or FIRST_S)
    if ctx.system.clock() - max(since, runs.heard(ctx.system, ctx.shared.run)) > patience:
        raise StepFailed("the controller is gone, and only it has what is missing here", hint=AGAIN)
