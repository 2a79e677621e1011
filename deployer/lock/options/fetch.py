"""One package of an index, unpacked for reading: uv brings it, nothing of it is imported or run. Called by app.tables."""

import os
import re
import subprocess
import sys
from pathlib import Path

from deployer.errors import DeployerError
from deployer.lock.indexes import Indexes
from deployer.lock.tools import uv_path

_DEADLINE_S = 1800


class NotThere(DeployerError):
    """The index has no such package, version or build."""


def fetch(package: str, version: str, folder: Path, indexes: Indexes) -> None:
    """Unpacks the wheel of exactly that version, without what it depends on. Raises NotThere, or DeployerError."""
    argv = [str(uv_path()), "pip", "install", "--quiet", "--color", "never", "--no-deps", "--only-binary", ":all:"]
    argv += ["--no-python-downloads", "--python", sys.executable, "--python-platform", "x86_64-manylinux_2_36"]
    argv += ["--no-cache", "--target", str(folder), f"{package}=={version}"]
    argv += [] if os.environ.get("UV_CONFIG_FILE") else ["--no-config"]
    argv += ["--no-index"] if indexes.no_index else []
    environ = indexes.environment(os.environ)
    try:
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, errors="replace", timeout=_DEADLINE_S)
    except subprocess.TimeoutExpired:
        raise DeployerError(f"{package} {version} did not arrive in {_DEADLINE_S} s", hint="check the network") from None
    if done.returncode != 0:
        text = re.sub(r"//[^/@\s]*@", "//***@", done.stderr)
        said = " ".join(re.sub(r"[│├╰─▶×]", " ", text).split())[:400]
        kind = NotThere if "No solution found" in said or "not found in the package registry" in said else DeployerError
        raise kind(f"{package} {version} cannot be read: {said}", hint="deployer engines list shows the tables there are")
