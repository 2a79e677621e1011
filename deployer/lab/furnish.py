"""What makes one lab host itself: name, machine id, ssh keys, who may log in. Called by `lab.lab` before its first boot."""

import uuid
from pathlib import Path

from deployer.lab import gpus, machine_settings
from deployer.lab.image import USERS
from deployer.lab.places import SHARED_PACKAGES, HostRecord, LabRecord
from deployer.lab.shell import run
from deployer.lab.writing import write


def make_host_key(root: Path) -> str:
    """Makes the host's own ssh key; returns its public half as `type base64`."""
    key = root / "etc/ssh/ssh_host_ed25519_key"
    for half in (key, key.with_suffix(".pub")):
        half.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)])
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def furnish(lab: LabRecord, host: HostRecord, root: Path, *, login_key: str, gpu_memory: int) -> None:
    """Writes the host's own files below `root` (its mounted overlay). `login_key`: the public key that may log in."""
    write(root / "etc/machine-id", uuid.uuid4().hex + "\n", mode=0o444)
    write(root / "etc/hostname", host.name + "\n")
    write(root / "etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{lab.address(host)} {host.name}\n")
    with (root / "etc/environment").open("a") as environment:
        environment.write(f'UV_CACHE_DIR="{SHARED_PACKAGES}/uv"\n')
    write(root / "etc/resolv.conf", machine_settings.resolv_conf())
    allow_login(root, "root", "root", login_key)
    for user in USERS:
        allow_login(root, user, f"home/{user}", login_key)
    passwords = "".join(f"{user}:{lab.password}\n" for user in USERS)
    run(["chroot", str(root), "chpasswd"], stdin=passwords)
    if host.gpus:
        gpus.install(root, gpus.new_gpus(host.gpus, gpu_memory))


def allow_login(root: Path, user: str, home: str, login_key: str) -> None:
    """Lets the holder of `login_key` in as `user`."""
    folder = root / home / ".ssh"
    write(folder / "authorized_keys", login_key + "\n", mode=0o600)
    folder.chmod(0o700)
    run(["chroot", str(root), "chown", "-R", f"{user}:{user}", f"/{home}/.ssh"])
