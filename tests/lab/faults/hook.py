"""Travels to lab hosts inside the agent's archive (see controller.py) and stops a run exactly at a step's boundary.

Standard library of Python 3.9 only. `install` wraps every step the agent knows: a step that is new is wrapped too. What shall
happen is an order in FOLDER, written from outside and taken once; that the boundary was met is said by a file there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

FOLDER = "/srv/faults"
ORDER, REACHED, GO = FOLDER + "/order.json", FOLDER + "/reached", FOLDER + "/go"
HELD_S = 150.0


def install(steps: dict[str, Any]) -> None:
    """Puts a boundary around each step of the mapping."""
    for kind, step in list(steps.items()):
        steps[kind] = _boundary(step)


def _boundary(step: Any) -> Any:
    """The step, which looks for an order before it does anything, and once it has done all and not yet said so."""

    class Boundary(type(step)):  # type: ignore[misc]
        def check(self, ctx: Any) -> dict[str, Any]:
            _meet(ctx, "before")
            before: dict[str, Any] = super().check(ctx)
            if before.get("already"):
                _meet(ctx, "after")
            return before

        def do(self, ctx: Any, before: dict[str, Any]) -> str | None:
            said: str | None = super().do(ctx, before)
            _meet(ctx, "after")
            return said

    made = Boundary.__new__(Boundary)
    made.__dict__.update(step.__dict__)
    return made


def _meet(ctx: Any, moment: str) -> None:
    try:
        with open(ORDER, encoding="utf-8") as file:
            order = json.load(file)
    except OSError:
        return
    if order["step"] != ctx.step["id"] or order["moment"] != moment:
        return
    os.unlink(ORDER)
    _ACTS[order["act"]](order)


def _say_reached() -> None:
    with open(REACHED + ".part", "w", encoding="utf-8") as file:
        file.write(str(time.time()))
    os.rename(REACHED + ".part", REACHED)


def _wait(order: dict[str, Any]) -> None:
    """Until it is let go from outside."""
    _say_reached()
    end = time.monotonic() + HELD_S
    while not os.path.exists(GO) and time.monotonic() < end:
        time.sleep(0.005)


def _kill(order: dict[str, Any]) -> None:
    _say_reached()
    os.kill(os.getpid(), signal.SIGKILL)


def _jump(order: dict[str, Any]) -> None:
    """The wall clock of this process from now on; hosts of a lab share the machine's, which is not ours to set."""
    real, by = time.time, float(order["seconds"])
    time.time = lambda: real() + by
    _say_reached()


def _end_engines(order: dict[str, Any]) -> None:
    """Every process that serves is asked to end, which it does with exit code 0."""
    subprocess.run(["systemctl", "kill", "--kill-who=main", "--signal=" + order["signal"], *order["units"]], check=False)
    _say_reached()


_ACTS: dict[str, Callable[[dict[str, Any]], None]] = {"wait": _wait, "kill": _kill, "jump": _jump, "end engines": _end_engines}
