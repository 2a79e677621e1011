"""Programs we bring to hosts from the controller's own installation: today uv. Called by resolve.py and the executor."""

import hashlib
import platform
import subprocess
from pathlib import Path

from deployer.errors import LockfileError
from deployer.state.locked import LockedTool


def uv_path() -> Path:
    """The controller's own uv. Raises LockfileError when it is not installed."""
    import uv  # late: only locking and applying need it

    try:
        return Path(uv.find_uv_bin())
    except FileNotFoundError:
        hint = "install deployer again: uv is one of its dependencies"
        raise LockfileError("uv is not installed beside deployer", hint=hint) from None


def uv_tool() -> LockedTool:
    """What a host would get: version, digest and size of the controller's uv, and the processor it runs on."""
    path = uv_path()
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
        content = path.read_bytes()
    except (OSError, subprocess.SubprocessError) as error:
        raise LockfileError(f"uv does not run here: {error}", where=str(path)) from None
    words = answer.split()
    version = words[1] if len(words) > 1 else "unknown"
    arch = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    return LockedTool("uv", version, hashlib.sha256(content).hexdigest(), len(content), arch)
