"""How long steps took on each host, kept on this machine from apply to apply, so that the next one can say what to expect.
Nothing rests on it: without it a front end shows no expectation. Kept by Planned.apply and Fleet.attach.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from deployer.app import saved
from deployer.execute.events import Event
from deployer.plan.model import Plan
from deployer.plan.starts import NOT_SEEN

FILE = Path(".deployer") / "times.json"
#: Quicker steps need no expectation. Seconds.
WORTH_S = 2.0
#: Labels that are remembered of one host.
MOST = 200

Times = Mapping[str, Mapping[str, float]]


def read(root: Path) -> dict[str, dict[str, float]]:
    """Host → label → seconds. Empty when there is none, or it cannot be read."""
    try:
        found = json.loads((root / FILE).read_text(encoding="utf-8"))
        return {str(h): {str(label): float(s) for label, s in steps.items()} for h, steps in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def expecting(times: Times, plan: Plan) -> Times:
    """The same, and for starts what the plan expects of them: hosts remember starts of every controller."""
    found = {host: dict(steps) for host, steps in times.items()}
    for change in plan.changes:
        seconds, basis = change.impact.start_s, change.impact.start_basis
        if seconds is not None and basis and basis != NOT_SEEN:
            found.setdefault(change.host, {})[f"{change.name} answers"] = seconds
    return found


class StepTimes:
    """Passes events on to `tell`, and notes what steps that were done took."""

    def __init__(self, root: Path, tell: Callable[[Event], None]) -> None:
        self._root = root
        self._tell = tell
        self._began: dict[tuple[str | None, str | None], datetime] = {}
        self._took: dict[str, dict[str, float]] = {}

    def take(self, event: Event) -> None:
        self._tell(event)
        if event.type != "step" or event.host is None or event.state not in ("start", "done"):
            return
        try:
            at = datetime.fromisoformat(event.at)
        except ValueError:
            return
        began = self._began.pop((event.host, event.step), None)
        if event.state == "start":
            self._began[event.host, event.step] = at
        elif began is not None and event.label and (at - began).total_seconds() >= WORTH_S:
            self._took.setdefault(event.host, {})[event.label] = round((at - began).total_seconds(), 1)

    def keep(self) -> None:
        """Without it there is only no expectation."""
        if not self._took:
            return
        known = read(self._root)
        for host, took in self._took.items():
            both = {**{k: v for k, v in known.get(host, {}).items() if k not in took}, **took}
            known[host] = dict(list(both.items())[-MOST:])
        saved.note(self._root, FILE, known)
