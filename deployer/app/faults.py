"""A fault of ours: one line for the person, the details in a file of mode 0600, secrets taken out. Used by both front ends."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from deployer.errors import DeployerError


def unexpected(error: BaseException) -> DeployerError:
    """What to show instead of a traceback; it names the file that has the details."""
    path = _write("".join(traceback.format_exception(error)))
    hint = f"the details are in {path}; please send them along when you report it" if path is not None else None
    return DeployerError(f"deployer failed: {type(error).__name__}; this is a fault in deployer, not in your files", hint=hint)


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
