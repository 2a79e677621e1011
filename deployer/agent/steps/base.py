"""The shape of a step."""

from __future__ import annotations

from typing import Any, Dict, Optional

from deployer.agent.context import Context

Before = Dict[str, Any]

ALREADY: Before = {"already": True}


class Step:
    """Without state: everything is in the context and in what `check` gave.

    `after_files`: its undo needs the files as they were (an old unit starts, HAProxy reads its old configuration), and
    comes when the whole transaction's files are back and systemd has been told.
    """

    after_files = False

    def late(self, args: Dict[str, Any]) -> bool:
        """Whether the undo of a step with these arguments comes after the files'."""
        return self.after_files

    def check(self, ctx: Context) -> Before:
        return {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        raise TypeError("a step that does nothing: %s" % type(self).__name__)

    def undo(self, ctx: Context, before: Before) -> None:
        """Most steps that only look or wait leave nothing to undo."""
