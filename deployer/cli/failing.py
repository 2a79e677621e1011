"""Errors as a person reads them: what, where, why, what next. Called by main when a command ends with one."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from deployer.cli.console import paint, say, unicode
from deployer.errors import DeployerError, Problem


def show(error: DeployerError) -> None:
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    if problems:
        from deployer.spec.problems import render

        say(render(problems))
        return
    mark = "✗" if unicode(sys.stderr) else "x"
    where = f"{error.where}: " if error.where else ""
    say(f"{paint(mark, '31', sys.stderr)} {where}{error.what}")
    if error.hint:
        say(f"    {error.hint}")


def unexpected(error: BaseException) -> None:
    """A fault of ours: one line for the person, the details in a file of mode 0600, secrets taken out."""
    say(f"✗ deployer failed: {type(error).__name__}; this is a fault in deployer, not in your files" if unicode(sys.stderr)
        else f"x deployer failed: {type(error).__name__}")  # fmt: skip
    path = _write("".join(traceback.format_exception(error)))
    if path is not None:
        say(f"    the details are in {path}; please send them along when you report it")


def _write(text: str) -> Path | None:
    from deployer import __version__

    head = f"deployer {__version__}, {datetime.now(UTC).isoformat(timespec='seconds')}\n"
    try:
        descriptor, name = tempfile.mkstemp(prefix="deployer-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(_masked(head + text))
    except OSError:
        return None
    return Path(name)


def _masked(text: str) -> str:
    """Without the values of secrets that this command has read."""
    loaded = sys.modules.get("deployer.app.secretvalues")
    return loaded.mask(text) if loaded is not None else text
