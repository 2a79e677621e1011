"""A person's own editor, at a line of a file, while the terminal UI steps aside. Used by the places that name a source."""

import os
import shlex
import subprocess
from pathlib import Path

from textual.app import App, SuspendNotSupported

from deployer.errors import UsageError

#: Editors that take FILE:LINE; the words before it. All others take +LINE FILE.
COLON = {"code": ("--wait", "--goto"), "codium": ("--wait", "--goto"), "subl": ("--wait",), "zed": ("--wait",), "hx": ()}


def command(file: Path, line: int) -> list[str]:
    """$VISUAL, else $EDITOR, else vi."""
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi") or ["vi"]
    name = Path(words[0]).name
    if name in COLON:
        return [*words, *COLON[name], f"{file}:{line}"]
    return [*words, f"+{line}", str(file)]


def edit(app: App[int], file: Path, line: int) -> None:
    """Returns when the editor is closed. Raises UsageError when there is none, or no terminal to show it in."""
    words = command(file, line)
    try:
        with app.suspend():
            subprocess.run(words, check=False)
    except SuspendNotSupported:
        raise UsageError("an editor cannot be shown here", where=f"{file}:{line}", hint="open it in another terminal") from None
    except OSError as error:
        hint = "export EDITOR=… names the one to use"
        raise UsageError(
            f"the editor {words[0]} cannot be started: {error.strerror}", where=f"{file}:{line}", hint=hint
        ) from None
