"""Runs this machine's own tools for the lab. Called by the other files of this folder."""

import subprocess
from collections.abc import Sequence

from deployer.errors import DeployerError


class ToolFailed(DeployerError):
    """A tool of this machine said no; `what` has its words."""


def run(argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60.0) -> str:
    """Runs argv and returns its standard output. Raises ToolFailed with the tool's own last words."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as e:
        raise ToolFailed(f"{argv[0]} is not installed on this machine") from e
    except subprocess.TimeoutExpired as e:
        raise ToolFailed(f"{' '.join(argv)}: no end after {timeout_s:.0f} s") from e
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise ToolFailed(f"{' '.join(argv)}: exit {done.returncode}: " + ("\n  ".join(words) or "it said nothing"))
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether argv ends with 0. For undoing what may be undone already."""
    try:
        run(argv)
    except ToolFailed:
        return False
    return True
