"""Progress where nobody looks on: one line per thing that begins or fails, and a sign of life now and then."""

import time

from deployer.cli import console
from deployer.cli.board import amount
from deployer.execute.events import Event

#: How often a long step says how far it is, in seconds.
EVERY_S = 15.0


class PlainProgress:
    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def take(self, event: Event) -> None:
        text = self._text(event)
        if text:
            console.say(text)

    def _text(self, event: Event) -> str | None:
        host = f"{event.host}  " if event.host else ""
        label = event.label or event.step or ""
        if event.type == "step" and event.state in ("start", "failed", "undone", "undo-failed", "skipped"):
            word = "" if event.state == "start" else f": {event.state}"
            message = f": {event.message}" if event.message else ""
            return f"{host}{label}{word}{message}"
        if event.type == "transfer" or event.state == "progress":
            return self._progress(event, f"{host}{label}")
        if event.type in ("host", "stop", "refused") and event.message:
            return f"{host}{event.message}"
        return None

    def _progress(self, event: Event, head: str) -> str | None:
        now = time.monotonic()
        if now - self._told.setdefault(event.host or "", now) < EVERY_S:
            return None
        self._told[event.host or ""] = now
        said = "  ".join(part for part in (event.message, amount(dict(event.data))) if part)
        return f"{head}: {said}" if said else None
