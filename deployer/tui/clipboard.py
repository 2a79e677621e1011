"""Copying in three ways: the terminal's own (OSC 52, which also works over SSH), or the desktop's program where there is
one. A terminal never says whether it took what it was sent; so what was copied is always shown as well.
"""

import base64
import os
import shutil
import subprocess
from collections.abc import Mapping

#: What terminals take of one OSC 52, encoded. More is refused by many, silently.
MOST_BYTES = 74_994

_PROGRAMS = (("wl-copy",), ("xclip", "-selection", "clipboard"), ("xsel", "--clipboard", "--input"), ("pbcopy",), ("clip.exe",))


def program(environment: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """The desktop's own, when we run beside a desktop and not over SSH."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return None
    for argv in _PROGRAMS:
        shown = argv[0] in ("pbcopy", "clip.exe") or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
        if shown and shutil.which(argv[0]):
            return argv
    return None


def osc52(text: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The sequence that asks the terminal to copy; None when it is too long for one. tmux passes it on when wrapped."""
    encoded = base64.b64encode(text.encode()).decode()
    if len(encoded) > MOST_BYTES:
        return None
    sequence = f"\033]52;c;{encoded}\a"
    return f"\033Ptmux;\033{sequence}\033\\" if environment.get("TMUX") else sequence


def copy(text: str, how: str = "auto") -> str | None:
    """`how`: auto, native or osc52. Returns the sequence to write to the terminal, None when a program took the text.

    Raises ValueError, said for people, when it cannot be copied.
    """
    argv = program() if how in ("auto", "native") else None
    if argv is not None and _taken(argv, text):
        return None
    if how == "native":
        said = (
            "no program for the clipboard was found: wl-copy, xclip, xsel or pbcopy"
            if argv is None
            else f"{argv[0]} did not take it"
        )
        raise ValueError(said)
    sequence = osc52(text)
    if sequence is None:
        raise ValueError(f"{len(text)} characters are more than a terminal takes; save it to a file instead")
    return sequence


def _taken(argv: tuple[str, ...], text: str) -> bool:
    """xclip and its like stay to serve what they took: their output must not be waited for."""
    try:
        done = subprocess.run(
            argv, input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
