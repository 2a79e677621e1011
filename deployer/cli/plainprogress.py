"""Progress where nobody looks on: one line per thing that took its time or failed, and a sign of life now and then."""

import time

from deployer.app.board import amount
from deployer.app.times import clock
from deployer.cli import console
from deployer.execute.events import Event

#: How often a long step says how far it is, in seconds.
EVERY_S = 15.0


#: A step that took less is not worth a line, in seconds.
WORTH_S = 0.5


class PlainProgress:
    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._began: dict[tuple[str | None, str | None], float] = {}

    def take(self, event: Event) -> None:
        text = self._step(event) if event.type == "step" else self._other(event)
        if text:
            console.say(text)

    def _step(self, event: Event) -> str | None:
        key, now = (event.host, event.step), time.monotonic()
        head = f"{event.host}  {event.label or event.step or ''}"
        if event.state == "start":
            self._began[key] = self._told[event.host or ""] = now
            return None
        if event.data.get("warn"):
            return f"{head}: {event.data['warn']}"
        if event.state == "progress":
            return self._progress(event, head, now)
        took = now - self._began.pop(key, now)
        if event.state == "done":
            return f"{head}  {clock(took)}" if took >= WORTH_S else None
        if event.state == "undone":
            return None  # "putting back" was said when it failed; the report says how that ended
        after = "; putting back what stood before" if event.state == "failed" else ""
        return f"{head}: {event.state}{f': {event.message}' if event.message else ''}{after}"

    def _other(self, event: Event) -> str | None:
        host = f"{event.host}  " if event.host else ""
        if event.type == "transfer":
            return self._progress(event, f"{host}{event.label or ''}", time.monotonic())
        if event.type in ("host", "stop", "pause", "wait", "revert", "promote", "notify", "refused") and event.message:
            return f"{host}{event.message}"
        return None

    def _progress(self, event: Event, head: str, now: float) -> str | None:
        if now - self._told.setdefault(event.host or "", now) < EVERY_S:
            return None
        self._told[event.host or ""] = now
        said = "  ".join(part for part in (event.message, amount(dict(event.data))) if part)
        return f"{head}: {said}" if said else None
