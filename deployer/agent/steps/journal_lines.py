"""What a unit said since it was started, read bit by bit from systemd's journal. Used by `unit.ready`."""

from __future__ import annotations

from typing import Dict, List, Optional

from deployer.agent.logs import parse
from deployer.agent.system import System, TooLong

KEPT = 2000
EVERY_S = 1.0  # each look starts a journalctl


class UnitJournal:
    """Lines by invocation: each automatic restart is a new one. `first` are the lines of the first."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lines: Dict[str, List[str]] = {}
        self._cursor: Optional[str] = None
        self._invocation: Optional[str] = None
        self._looked = -1e9
        self.now = False  # the next call reads however short ago the last one was

    @property
    def first(self) -> List[str]:
        return next(iter(self._lines.values()), [])

    def new_lines(self, invocation: str) -> List[str]:
        """Lines that came since the last call. When a new invocation began, the rest of the one before is read first."""
        if not invocation:
            return []
        if self._invocation not in (None, invocation):
            self._read(str(self._invocation))
            self._cursor = None
        elif self._system.clock() - self._looked < EVERY_S and not self.now:
            return []
        self.now = False
        self._invocation = invocation
        return self._read(invocation)

    def _read(self, invocation: str) -> List[str]:
        self._looked = self._system.clock()
        argv = ["journalctl", "-q", "--no-pager", "-o", "json", "--output-fields=MESSAGE", "-n", str(KEPT)]
        argv += ["--after-cursor", self._cursor] if self._cursor else []
        argv += ["_SYSTEMD_INVOCATION_ID=" + invocation, "+", "INVOCATION_ID=" + invocation]
        try:
            done = self._system.run(argv, timeout=20)
        except (OSError, TooLong):
            return []
        found: List[str] = []
        for line in done.out.splitlines():
            entry = parse(line)
            if entry is not None:
                found += entry["lines"]
                self._cursor = entry["cursor"] or self._cursor
        kept = self._lines.setdefault(invocation, [])
        kept += found
        del kept[:-KEPT]
        return found
