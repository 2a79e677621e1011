"""Writing files into a host that is not running. Called by `lab.image` and `lab.furnish`."""

import os
from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Writes one file of a host, with its folders. Never follows a link that is already there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "w") as f:
        os.fchmod(fd, mode)
        f.write(text)
