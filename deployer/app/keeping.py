"""Text that a person saves: a log. A new file for its owner alone, without any secret that was read here."""

import os
from pathlib import Path

from deployer.app.secretvalues import mask
from deployer.errors import UsageError


def keep(path: Path, text: str) -> Path:
    """Raises UsageError when there is such a file already, or it cannot be written."""
    path = path.expanduser()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(mask(text))
    except FileExistsError:
        raise UsageError(
            "there is such a file already", where=str(path), hint="choose another name; nothing is overwritten"
        ) from None
    except OSError as error:
        raise UsageError(f"it cannot be written: {error.strerror}", where=str(path), hint="choose another place") from None
    return path.resolve()
