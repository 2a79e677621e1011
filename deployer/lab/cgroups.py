"""A control group per host, on machines whose PID 1 is not systemd. Called by `lab.machine`.

Without it all hosts would make their units' groups at the same place, and one host's systemd would see another's
processes as its own. Where this machine runs systemd, systemd-nspawn asks it for a scope instead.
"""

import contextlib
import os
import time
from pathlib import Path

from deployer.errors import DeployerError

ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'


def _hierarchies() -> list[Path]:
    """Where systemd keeps its groups: the unified hierarchy and, beside the old controllers, the one named systemd."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(left.split(" ")[4]))
    return found


def _folders(name: str) -> list[Path]:
    return [hierarchy / "deployer-lab" / name for hierarchy in _hierarchies()]


def entering(name: str, argv: list[str]) -> list[str]:
    """Makes the groups of `name`; returns argv so that it starts inside them."""
    folders = _folders(name)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return ["sh", "-c", ENTER, "sh", *map(str, folders), "--", *argv]


def remove(name: str, *, timeout_s: float = 10.0) -> None:
    """Removes the groups of `name` once their last processes are gone."""
    deadline = time.monotonic() + timeout_s
    for folder in _folders(name):
        while folder.exists():
            for inner, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(inner)
            if time.monotonic() > deadline:
                raise DeployerError(f"processes of an ended host are still there: {folder}")
            if folder.exists():
                time.sleep(0.02)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
