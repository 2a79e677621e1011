"""What can go wrong on a simulated host, on purpose: steps that fail, runs that die, connections that break."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deployer.agent.context import Context, StepFailed
from deployer.agent.steps import STEPS
from deployer.agent.steps.base import Before, Step


class Killed(BaseException):
    """The run's process is gone in the middle of a step, and the lock is free."""


class PowerCut(Killed):
    """The host went down under it: nothing is undone, nothing is reported."""


@dataclass
class Hold:
    """A step that waits until somebody lets it go. `reached` is set when the run stands before it."""

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


def _throw(error: BaseException) -> None:
    raise error


@dataclass
class _Rule:
    kind: str
    label: str | None
    act: Callable[[], None]
    when: str  # "before" | "after" | "undo"
    times: int | None

    def fits(self, ctx: Context, when: str) -> bool:
        if self.times == 0 or when != self.when or ctx.step["kind"] != self.kind:
            return False
        return self.label is None or self.label in str(ctx.step.get("label", ""))


@dataclass
class Faults:
    """Rules are matched by a step's kind and, when given, a part of its label."""

    cut_after: int | None = None  # lines of the next channel, then its connection breaks
    cut_after_bytes: int | None = None  # raw bytes that this host gives, then that connection breaks, once
    step_delay_s: float = 0.0  # real seconds before each step
    _rules: list[_Rule] = field(default_factory=list)
    _bytes: threading.Lock = field(default_factory=threading.Lock)  # several channels give at the same time

    def fail(
        self,
        kind: str,
        label: str | None = None,
        *,
        error: Exception | None = None,
        when: str = "before",
        times: int | None = None,
    ) -> None:
        """The step fails, before it did anything or (`when` "after") once it has; "undo" makes its undo fail."""

        def act() -> None:
            raise error if error is not None else StepFailed("a simulated failure")

        self._rules.append(_Rule(kind, label, act, when, times))

    def kill(self, kind: str, label: str | None = None, *, when: str = "before") -> None:
        """The run's process dies at this step, once; what it began is undone, as systemd would have it."""
        self._rules.append(_Rule(kind, label, partial(_throw, Killed()), when, 1))

    def cut_power(self, kind: str, label: str | None = None, *, when: str = "before") -> None:
        """The run dies at this step, once, and nobody undoes it: the host went down with it."""
        self._rules.append(_Rule(kind, label, partial(_throw, PowerCut()), when, 1))

    def hold(self, kind: str, label: str | None = None) -> Hold:
        hold = Hold()

        def act() -> None:
            hold.reached.set()
            if not hold.released.wait(60):
                raise StepFailed("held for a minute and never released")

        self._rules.append(_Rule(kind, label, act, "before", 1))
        return hold

    def clear(self) -> None:
        self._rules.clear()
        self.cut_after = self.cut_after_bytes = None

    def may_give(self, most: int) -> int:
        """So many raw bytes at most, now; 0: the connection breaks here."""
        with self._bytes:
            if self.cut_after_bytes is None:
                return most
            if self.cut_after_bytes <= 0:
                self.cut_after_bytes = None
                return 0
            return min(most, self.cut_after_bytes)

    def gave(self, size: int) -> None:
        with self._bytes:
            if self.cut_after_bytes is not None:
                self.cut_after_bytes -= size

    def meet(self, ctx: Context, when: str) -> None:
        for rule in self._rules:
            if rule.fits(ctx, when):
                if rule.times is not None:
                    rule.times -= 1
                rule.act()


class _Faulty(Step):
    """A real step, with the faults of its host around it."""

    def __init__(self, step: Step, faults: Faults, expect: Callable[[Context], None]) -> None:
        self._step = step
        self.after_files = step.after_files
        self._faults = faults
        self._expect = expect

    def late(self, args: dict[str, Any]) -> bool:
        return self._step.late(args)

    def check(self, ctx: Context) -> Before:
        return self._step.check(ctx)

    def do(self, ctx: Context, before: Before) -> str | None:
        if self._faults.step_delay_s:
            threading.Event().wait(self._faults.step_delay_s)
        self._faults.meet(ctx, "before")
        self._expect(ctx)
        said = self._step.do(ctx, before)
        self._faults.meet(ctx, "after")
        return said

    def undo(self, ctx: Context, before: Before) -> None:
        self._faults.meet(ctx, "undo")
        self._step.undo(ctx, before)


def faulty_steps(faults: Faults, expect: Callable[[Context], None]) -> Mapping[str, Any]:
    """The agent's own steps, each with the faults around it."""
    return {kind: _Faulty(step, faults, expect) for kind, step in STEPS.items()}
