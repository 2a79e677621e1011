"""One host as a process of this machine: its overlay, and systemd-nspawn over it. Called by `lab.lab`.

A running host is found by its command line in /proc, never by a remembered pid, so a pid that was given to somebody
else can never be killed by us.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from deployer.errors import DeployerError
from deployer.lab import cgroups, network
from deployer.lab.image import image_path
from deployer.lab.places import SHARED_PACKAGES, HostRecord, LabRecord, cache_home
from deployer.lab.shell import ToolFailed, run


def group(lab: LabRecord, host: HostRecord) -> str:
    """Name of the host's control group."""
    return f"{lab.key}-{host.name}"


def root_of(lab: LabRecord, host: HostRecord) -> Path:
    return lab.host_home(host) / "root"


def mount(lab: LabRecord, host: HostRecord) -> None:
    """Puts the host's own layer over the base image unless it is there already."""
    root = root_of(lab, host)
    if _is_mounted(root):
        return
    home = lab.host_home(host)
    for part in ("upper", "work", "root"):
        (home / part).mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={image_path(lab.image)},upperdir={home / 'upper'},workdir={home / 'work'}"
    try:
        run(["mount", "-t", "overlay", "-o", layers, "deployer-lab", str(root)])
    except ToolFailed as e:
        raise DeployerError(
            f"cannot put an overlay on {home}: {e.what}",
            where=host.name,
            hint="set XDG_STATE_HOME to a folder on a plain disk (ext4, xfs), not on a container's own layers",
        ) from e


def unmount(lab: LabRecord, host: HostRecord) -> None:
    root = root_of(lab, host)
    while _is_mounted(root):
        run(["umount", "--lazy", str(root)])


def _is_mounted(root: Path) -> bool:
    return os.path.ismount(root)


def leader(lab: LabRecord, host: HostRecord) -> int | None:
    """Pid of the systemd-nspawn that runs this host, or None."""
    wanted = f"--directory={root_of(lab, host)}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if argv[0].endswith(b"systemd-nspawn") and wanted in argv:
            return int(entry.name)
    return None


def start(lab: LabRecord, host: HostRecord) -> None:
    """Boots the host unless it runs. Does not wait for it."""
    if leader(lab, host):
        return
    packages = cache_home() / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    argv = [
        "systemd-nspawn", "--quiet", "--boot", f"--directory={root_of(lab, host)}", f"--machine={lab.key}-{host.name}",
        f"--hostname={host.name}", f"--network-namespace-path=/run/netns/{network.namespace(lab, host)}", "--register=no",
        "--resolv-conf=off", "--timezone=off", "--link-journal=no", f"--bind={packages}:{SHARED_PACKAGES}", "--console=pipe",
    ]  # fmt: skip
    if not Path("/run/systemd/system").is_dir():
        # without a systemd here, there is nobody to ask for a scope
        argv = cgroups.entering(group(lab, host), [*argv, "--keep-unit"])
    with (lab.host_home(host) / "console.log").open("ab") as console:
        # setsid forks: the host is nobody's child and outlives this command
        subprocess.run(["setsid", "--fork", *argv], stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd="/", check=True)


def stop(lab: LabRecord, host: HostRecord, *, graceful: bool = False, timeout_s: float = 30.0) -> None:
    """Ends the host: at once, as when its power fails, or `graceful`, letting its systemd stop everything first."""
    pid = leader(lab, host)
    if pid is None:
        return
    handle = os.pidfd_open(pid)
    try:
        if graceful:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if _ended(handle, timeout_s):
                return
        for init in _children(pid):  # the first process of the host: all others go with it
            os.kill(init, signal.SIGKILL)
        if not _ended(handle, 5):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not _ended(handle, timeout_s):
                raise DeployerError("it does not end", where=host.name)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _ended(handle: int, timeout_s: float) -> bool:
    return bool(select.select([handle], [], [], timeout_s)[0])


def wait_for_ssh(lab: LabRecord, host: HostRecord, *, deadline: float) -> None:
    """Returns when sshd answers. Raises DeployerError with the console's last lines when it does not by `deadline`
    (time.monotonic)."""
    seen = time.monotonic()
    while time.monotonic() < deadline:
        if leader(lab, host):
            seen = time.monotonic()
        elif time.monotonic() - seen > 2:  # its process needs a moment to appear
            break
        try:
            with socket.create_connection((lab.address(host), 22), timeout=2) as s:
                s.settimeout(5)
                if s.recv(4).startswith(b"SSH"):
                    return
        except OSError:
            time.sleep(0.1)
    console = lab.host_home(host) / "console.log"
    last = console.read_text(errors="replace").strip().splitlines()[-12:] if console.is_file() else []
    ran = "runs, but its sshd does not answer" if leader(lab, host) else "ended while it was starting"
    raise DeployerError(
        f"{ran}; the last lines of its console:\n  " + "\n  ".join(last), where=host.name, hint=f"all of it: {console}"
    )


def remove(lab: LabRecord, host: HostRecord) -> None:
    """Ends the host and takes away all it had on this machine."""
    stop(lab, host)
    cgroups.remove(group(lab, host))
    unmount(lab, host)
    network.unplug(lab, host)
    if lab.host_home(host).exists():
        shutil.rmtree(lab.host_home(host))
