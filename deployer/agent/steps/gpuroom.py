"""Room on a replica's GPUs before it starts. An engine that finds less than it was promised fails after its start has taken a
minute, and says only that somebody is there; here it is waited for (the driver gives memory back late), and said who holds it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from deployer.agent.context import Context, StepFailed
from deployer.agent.facts.ports import unit_of

WAIT_S = 30.0
#: What NVML and the engine may count differently, as a share of the GPU: the last word is the engine's.
SLACK = 0.02
GIB = 1024.0**3


def wait(ctx: Context) -> None:
    """`gpus` and `gpu_share` of the step: the share of each that must be free; `shared`: others have the rest. What the
    driver does not tell is no hindrance.
    """
    share, wanted = ctx.args.get("gpu_share"), [str(uuid) for uuid in ctx.args.get("gpus") or []]
    if not share or not wanted:
        return
    end = ctx.system.clock() + WAIT_S
    while True:
        short = [gpu for gpu in ctx.system.gpus()["gpus"] if gpu["uuid"] in wanted and _free(gpu) < float(share) - SLACK]
        if not short:
            return
        if ctx.system.clock() > end:
            raise _failed(ctx, short[0], float(share))
        ctx.progress(phase="waiting until its GPU memory is free")
        ctx.system.sleep(0.5)


def _free(gpu: Dict[str, Any]) -> float:
    total, used = gpu.get("memory_total"), gpu.get("memory_used")
    return 1.0 if not total or used is None else 1.0 - float(used) / float(total)


def _failed(ctx: Context, gpu: Dict[str, Any], share: float) -> StepFailed:
    total = float(gpu["memory_total"])
    free, wanted = _free(gpu) * total / GIB, share * total / GIB
    holders = _holders(ctx, gpu)
    message = "GPU %s has %.1f GiB free, and %.1f are wanted" % (gpu.get("index", gpu["uuid"]), free, wanted)
    cause = "something else holds memory of GPU %s: %s" % (
        gpu.get("index", gpu["uuid"]),
        holders or "the driver does not say what",
    )
    most = int(100 * _free(gpu)) / 100.0
    hint = "gpu_memory_utilization: %.2f is what is free, or end that" % most
    if ctx.args.get("shared"):
        hint = "placement.gpu_share: %d%% of it is free; or a larger one for what takes more than its own" % int(100 * most)
    return StepFailed(message, cause=cause, hint=hint)


def _holders(ctx: Context, gpu: Dict[str, Any]) -> str:
    found: List[str] = []
    for process in sorted(gpu.get("processes") or [], key=lambda p: -int(p.get("memory") or 0)):
        unit: Optional[str] = unit_of(ctx.system, int(process["pid"]))
        held = process.get("memory")
        size = " (%.1f GiB)" % (float(held) / GIB) if held else ""
        found.append("%s%s" % (unit or "process %s" % process["pid"], size))
    return ", ".join(found[:4])
