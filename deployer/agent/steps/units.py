"""`systemd.reload`, and `unit.start`, `unit.stop`, `unit.enable`, `unit.disable` on this fleet's own units."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from deployer.agent import paths, starts, systemctl, wire
from deployer.agent.context import Context, StepFailed, last_words
from deployer.agent.facts.ports import unit_of
from deployer.agent.steps import gpuroom
from deployer.agent.steps.base import ALREADY, Before, Step
from deployer.agent.steps.ready import until_answers
from deployer.agent.system import TooLong

STOP_S = 120.0
GPU_S = 30.0  # how long the driver may take to give memory back


def own(ctx: Context) -> str:
    try:
        return paths.own_unit(ctx.fleet, str(ctx.args["unit"]))
    except paths.Refusal as error:
        raise StepFailed(str(error)) from None


def state(ctx: Context, unit: str) -> Dict[str, str]:
    """Raises Silent."""
    return systemctl.ask_one(ctx.system, unit)


def start(ctx: Context, unit: str) -> None:
    """Begins to start it; whether it comes up is another question."""
    systemctl.call(ctx.system, "reset-failed", unit)
    done = systemctl.call(ctx.system, "start", "--no-block", unit)
    if done.rc != 0:
        raise StepFailed("systemctl start %s: %s" % (unit, last_words(done)), log=done.lines)


def stop(ctx: Context, unit: str, timeout_s: float) -> Optional[str]:
    """Ends it, by force when its time is over. Gives a word when force was needed."""
    word = None
    try:
        done = systemctl.call(ctx.system, "stop", unit, timeout=timeout_s)
        if done.rc != 0 and systemctl.is_up(state(ctx, unit)):
            raise StepFailed("systemctl stop %s: %s" % (unit, last_words(done)), log=done.lines)
    except TooLong:
        word = "killed: it did not end within %.0f s" % timeout_s
        systemctl.call(ctx.system, "kill", "--signal=SIGKILL", unit)
        try:
            systemctl.call(ctx.system, "stop", unit, timeout=30)
        except TooLong:
            raise StepFailed("%s does not end, not even by SIGKILL" % unit) from None
    systemctl.call(ctx.system, "reset-failed", unit)
    return word


def _on(ctx: Context, gpus: List[str]) -> List[int]:
    """Processes that hold memory of these GPUs."""
    found = ctx.system.gpus()["gpus"]
    return [int(p["pid"]) for gpu in found if gpu["uuid"] in gpus for p in gpu.get("processes") or []]


def _given_back(ctx: Context, gpus: List[str], processes: List[int]) -> bool:
    """Waits until the driver counts nothing of these processes any more: a start that comes too early takes too little."""
    end = ctx.system.clock() + GPU_S
    while processes and set(processes) & set(_on(ctx, gpus)):
        if ctx.system.clock() > end:
            return False
        ctx.progress(phase="waiting until its GPU memory is free")
        ctx.system.sleep(0.5)
    return True


class Reload(Step):
    def do(self, ctx: Context, before: Before) -> Optional[str]:
        done = systemctl.call(ctx.system, "daemon-reload")
        if done.rc != 0:
            raise StepFailed("systemctl daemon-reload: %s" % last_words(done), log=done.lines)
        return None

    def undo(self, ctx: Context, before: Before) -> None:
        """The files come back after this: systemd is told then."""
        ctx.shared.units_changed = True


class Start(Step):
    """`beside`: another one serves meanwhile, so that an undo stops this one last, when nothing is sent to it any more.
    `gpus` and `gpu_share`: how much of each GPU must be free before; `shared`: others have the rest of it.
    """

    def late(self, args: Dict[str, Any]) -> bool:
        return bool(args.get("beside"))

    def check(self, ctx: Context) -> Before:
        return dict(ALREADY) if systemctl.is_up(state(ctx, own(ctx))) else {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        gpuroom.wait(ctx)
        starts.starting(ctx)
        start(ctx, own(ctx))
        return None

    def undo(self, ctx: Context, before: Before) -> None:
        stop(ctx, own(ctx), STOP_S)


class Stop(Step):
    """`ready` {"port", "ready_path", "inference"}, when given, is what must answer again after an undo. `gpus`: UUIDs whose
    memory must be given back before it counts as stopped.
    """

    after_files = True

    def check(self, ctx: Context) -> Before:
        found = state(ctx, own(ctx))
        return {"up": True} if systemctl.is_up(found) else dict(ALREADY)

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        starts.stopping(ctx)
        unit = own(ctx)
        gpus = [str(uuid) for uuid in ctx.args.get("gpus") or []]
        mine = [pid for pid in _on(ctx, gpus) if unit_of(ctx.system, pid) == unit] if gpus else []
        word = stop(ctx, unit, float(ctx.args.get("timeout_s") or STOP_S))
        return word if _given_back(ctx, gpus, mine) else "the driver still counts memory of it on its GPU"

    def undo(self, ctx: Context, before: Before) -> None:
        unit = own(ctx)
        if not systemctl.is_up(state(ctx, unit)):
            start(ctx, unit)
        until_answers(ctx, unit, ctx.args.get("ready") or {})


class Enable(Step):
    wanted = True

    def _call(self, ctx: Context, on: bool) -> None:
        verb = "enable" if on else "disable"
        done = systemctl.call(ctx.system, verb, own(ctx))
        if done.rc != 0:
            raise StepFailed("systemctl %s %s: %s" % (verb, own(ctx), last_words(done)), log=done.lines)

    def check(self, ctx: Context) -> Before:
        return dict(ALREADY) if (state(ctx, own(ctx)).get("UnitFileState") == "enabled") == self.wanted else {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        self._call(ctx, self.wanted)
        return None

    def undo(self, ctx: Context, before: Before) -> None:
        self._call(ctx, not self.wanted)


class Disable(Enable):
    wanted = False
    after_files = True


class Retire(Step):
    """A unit that is not ours stops and is disabled, because a person asked for just that: ours has taken over from it."""

    def _unit(self, ctx: Context) -> str:
        unit = str(ctx.args["unit"])
        if not paths.UNIT.match(unit) or not unit.endswith(".service") or unit.startswith(wire.UNIT):
            raise StepFailed("%r is not a service of somebody else" % (unit,))
        return unit

    def check(self, ctx: Context) -> Before:
        found = state(ctx, self._unit(ctx))
        before = {"up": systemctl.is_up(found), "enabled": found.get("UnitFileState") == "enabled"}
        return before if any(before.values()) else dict(ALREADY)

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        unit = self._unit(ctx)
        if before["enabled"]:
            self._call(ctx, "disable", unit)
        return stop(ctx, unit, STOP_S) if before["up"] else None

    def _call(self, ctx: Context, verb: str, unit: str) -> None:
        done = systemctl.call(ctx.system, verb, unit)
        if done.rc != 0:
            raise StepFailed("systemctl %s %s: %s" % (verb, unit, last_words(done)), log=done.lines)

    def undo(self, ctx: Context, before: Before) -> None:
        unit = self._unit(ctx)
        if before["enabled"]:
            self._call(ctx, "enable", unit)
        if before["up"] and not systemctl.is_up(state(ctx, unit)):
            start(ctx, unit)
