"""What a run says: one JSON line per event, on disk before it counts. Written by the worker, followed by `attach`."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, List, Tuple

from deployer.agent import files, paths
from deployer.agent.plain import plain_values
from deployer.agent.system import System
from deployer.agent.times import iso

RESERVE = 4 << 20  # bytes


def path_of(run_id: str) -> str:
    return paths.run(run_id) + "/journal.jsonl"


class Journal:
    """Appends events. A whole line is written at once, so that a reader never sees the half of one for long.

    A full disk must not keep a run from undoing what it did: some room is held back for that (`RESERVE`), and when even
    that is gone, a line is lost rather than the undoing.
    """

    def __init__(self, system: System, run_id: str) -> None:
        self._system = system
        self._reserve = paths.run(run_id) + "/reserve"
        real = system.path(path_of(run_id))
        self._descriptor = os.open(real, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end_line(real)
        self._hold_room()

    def _end_line(self, real: str) -> None:
        """A run that was killed may have left the half of one."""
        with open(real, "rb") as file, contextlib.suppress(OSError):
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    self._write(b"\n", False)

    def say(self, event_type: str, **fields: Any) -> None:
        """Progress is not worth a sync of the disk; everything else is there before the next thing is done."""
        event = {"type": event_type, "at": iso(self._system.now())}
        event.update({key: plain_values(value) for key, value in fields.items() if value is not None})
        data = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            self._write(data, fields.get("state") != "progress")
        except OSError:
            self.free_room()
            with contextlib.suppress(OSError):
                self._write(b"\n" + data, True)  # the line before may have been cut in its middle

    def step(self, transaction: Dict[str, Any], step: Dict[str, Any], state: str, **fields: Any) -> None:
        """What became of a step."""
        names = {"tx": transaction["id"], "step": step["id"], "change": step.get("change"), "label": step.get("label")}
        self.say("step", **names, kind=step["kind"], state=state, **fields)

    def _write(self, data: bytes, sync: bool) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
        if sync:
            os.fsync(self._descriptor)

    def _hold_room(self) -> None:
        with contextlib.suppress(OSError), open(self._system.path(self._reserve), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE)

    def free_room(self) -> None:
        files.remove(self._system, self._reserve)

    def close(self) -> None:
        self.free_room()
        os.close(self._descriptor)


def lines(data: bytes, offset: int = 0) -> Tuple[List[Dict[str, Any]], int]:
    """The whole events in `data`, each with "offset", the byte after it when `data` begins at `offset`; and that byte of
    the last one. A line that is no JSON (the disk was full in its middle) is passed over.
    """
    events = []
    for line in data.split(b"\n")[:-1]:
        offset += len(line) + 1
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            event["offset"] = offset
            events.append(event)
    return events, offset


def read(system: System, run_id: str) -> List[Dict[str, Any]]:
    return lines(files.read(system, path_of(run_id)) or b"")[0]
