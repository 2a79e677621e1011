"""What a lab needs from this machine; says it clearly where it is missing. Called by `lab.lab.up` and `down`."""

import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from deployer.errors import DeployerError
from deployer.lab.shell import run

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
COMPILER = {"gcc": "gcc"}

Progress = Callable[[str], None]


def require_machine() -> None:
    """Raises DeployerError where lab hosts cannot run: not Linux, not root, no overlay file system."""
    if platform.system() != "Linux":
        raise DeployerError(
            f"a lab needs Linux: its hosts are systemd-nspawn containers (this is {platform.system()})",
            hint="run it on a Linux machine or in a virtual machine",
        )
    if os.geteuid() != 0:
        raise DeployerError("a lab needs root: it makes network namespaces and mounts", hint="run `sudo deployer lab …`")
    if "\toverlay" not in Path("/proc/filesystems").read_text() and not shutil.which("modprobe"):
        raise DeployerError("a lab needs the overlay file system, which this kernel does not have", hint="modprobe overlay")


def install_tools(on_progress: Progress, *, compiler: bool) -> None:
    """Installs what is missing with apt-get. Raises DeployerError naming the packages where there is no apt-get."""
    wanted = {**TOOLS, **(COMPILER if compiler else {})}
    missing = sorted({package for tool, package in wanted.items() if not shutil.which(tool)})
    if compiler and not any(Path("/usr/include").glob("**/stdio.h")):
        missing.append("libc6-dev")
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise DeployerError(
            f"a lab needs these packages on this machine: {', '.join(missing)}", hint="install them and try again"
        )
    on_progress(f"installing {', '.join(missing)}")
    quiet = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    run([*quiet, "update"], timeout_s=300)
    run(["env", "DEBIAN_FRONTEND=noninteractive", *quiet, "install", "-y", "--no-install-recommends", *missing], timeout_s=900)
