"""Which program opens a file at a line. Used by the terminal UI before it gives the terminal away."""

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from deployer.errors import UsageError

#: Editors that take FILE:LINE; all others take +LINE FILE, as vi, nano and emacs do.
_COLON = {"hx", "helix", "subl", "zed"}
_GOTO = {"code", "codium", "cursor"}


def command(path: Path, line: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """$VISUAL, $EDITOR, else what is there of sensible-editor, nano and vi. Raises UsageError when nothing is."""
    chosen = environment.get("VISUAL") or environment.get("EDITOR")
    words = shlex.split(chosen) if chosen else [found for found in ("sensible-editor", "nano", "vi") if shutil.which(found)][:1]
    if not words or shutil.which(words[0]) is None:
        said = f"{words[0]} is not on this machine" if words else "no editor was found"
        raise UsageError(said, hint="export EDITOR=…, a program that opens a file")
    name = Path(words[0]).name
    if name in _GOTO:
        return [*words, "--wait", "--goto", f"{path}:{line}"]
    return [*words, f"{path}:{line}"] if name in _COLON else [*words, f"+{line}", str(path)]
