"""What the process writes to its standard output, beside what the engine writes there: lines that begin with `handler:`."""

from __future__ import annotations

import contextlib
import os


def say(message: str) -> None:
    """One or more lines, each with our mark."""
    for line in message.split("\n"):
        data = f"handler: {line}\n".encode("utf-8", "replace")
        with contextlib.suppress(OSError):  # nobody reads the log: that is no reason to fail a request
            while data:
                data = data[os.write(1, data) :]
