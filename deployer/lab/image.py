"""The base image all lab hosts stand on: a small Debian with systemd and sshd. Built once, kept in the user's cache.

Called by `lab.lab.up`. The image's name is a digest of all that went into it, so another package list or another
certificate of this machine makes another image.
"""

import hashlib
import platform
import shutil
from pathlib import Path

from deployer.lab import machine_settings
from deployer.lab.needs import Progress
from deployer.lab.places import cache_home, locked
from deployer.lab.shell import run
from deployer.lab.writing import write

SUITE = "bookworm"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "python3-venv", "iproute2", "ca-certificates",
    "curl", "sudo", "procps", "libpam-systemd",
)  # fmt: skip
#: Fetched but not installed: deployer installs it itself, the lab only spares ten hosts the same download.
DOWNLOADED = ("haproxy",)
RECIPE = 3

#: Users of every host. The fleet logs in as `deploy`; the others are there to be tried.
USERS = {
    "deploy": "deploy ALL=(ALL) NOPASSWD: ALL",
    "admin": "admin ALL=(ALL) ALL",  # sudo asks for the lab's password
    "guest": None,  # no sudo at all
}

FILES = {
    "etc/machine-id": "",
    "etc/ssh/sshd_config.d/lab.conf": "UseDNS no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    "MaxStartups 200:30:400\nMaxSessions 100\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\n",
    "etc/apt/apt.conf.d/90lab": 'DPkg::Lock::Timeout "120";\nAPT::Install-Recommends "false";\n',
}
MASKED = (
    "systemd-remount-fs.service", "apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "getty@tty1.service",
    "systemd-timesyncd.service", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
)  # fmt: skip


def image_name() -> str:
    """The name of the image that this version of the lab, on this machine, stands on."""
    parts = [
        SUITE,
        platform.machine(),
        str(RECIPE),
        repr((PACKAGES, DOWNLOADED, USERS, FILES, MASKED)),
        machine_settings.digest(),
    ]
    return f"{SUITE}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def image_path(name: str) -> Path:
    return cache_home() / "images" / name


def ensure_image(on_progress: Progress) -> str:
    """Builds the image unless it is there, and returns its name. A second builder waits for the first."""
    name = image_name()
    final = image_path(name)
    if final.is_dir():
        return name
    with locked(final.with_suffix(".lock")):
        if not final.is_dir():
            _build(final, on_progress)
    return name


def _build(final: Path, on_progress: Progress) -> None:
    part = final.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    mirror = machine_settings.mirror(SUITE)
    on_progress("building the base image, once (about a minute)")
    include = "--include=" + ",".join(PACKAGES)
    run(["debootstrap", "--variant=minbase", include, SUITE, str(part), mirror], timeout_s=1800)
    on_progress("furnishing the base image")
    machine_settings.write_into(part, SUITE, mirror)
    for path, text in FILES.items():
        write(part / path, text)
    for unit in MASKED:
        (part / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (part / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for key in part.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    (part / "etc/hostname").unlink(missing_ok=True)
    _add_users(part)
    _fetch_packages(part)
    part.rename(final)


def _add_users(root: Path) -> None:
    for user, rule in USERS.items():
        run(["chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", user])
        if rule:
            write(root / "etc/sudoers.d" / user, rule + "\n", mode=0o440)


def _fetch_packages(root: Path) -> None:
    """Package lists, and the packages hosts are likely to want, so that apt-get install works at once."""
    resolv = root / "etc/resolv.conf"
    write(resolv, machine_settings.resolv_conf())
    apt = ["chroot", str(root), "apt-get", "-q"]
    run([*apt, "update"], timeout_s=300)
    run([*apt, "install", "-y", "--download-only", "--no-install-recommends", *DOWNLOADED], timeout_s=300)
    resolv.unlink()
