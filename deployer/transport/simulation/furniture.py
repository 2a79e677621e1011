"""The files that a fresh machine has: what the probe reads of /proc, /etc and the package database."""

import hashlib
import os
from pathlib import Path

from deployer.agent.system import System

_STATUS = "Package: {name}\nStatus: install ok installed\nPriority: optional\nVersion: {version}\nDescription: simulated\n\n"


def furnish(root: Path, name: str, *, memory: int, cpus: int, pythons: tuple[str, ...], systemd: int) -> None:
    """A minimal Debian 12. `pythons` are minor versions ("3.11"), the host's own first."""
    machine_id = hashlib.sha256(name.encode()).hexdigest()[:32]
    write(root, "/etc/machine-id", machine_id + "\n")
    write(root, "/etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    write(root, "/proc/meminfo", f"MemTotal: {memory >> 10} kB\nMemAvailable: {memory >> 10} kB\n")
    write(root, "/proc/loadavg", "0.00 0.00 0.00 1/100 1000\n")
    write(root, "/proc/cpuinfo", "".join(f"processor\t: {n}\n" for n in range(cpus)))
    write(root, f"/usr/lib/systemd/libsystemd-shared-{systemd}.so", "")
    write(root, "/var/lib/dpkg/status", "")
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "usr/sbin").mkdir(parents=True)
    for version in pythons:
        write(root, f"/usr/bin/python{version}", "#!/bin/sh\n", 0o755)
    (root / "usr/bin/python3").symlink_to(f"python{pythons[0]}")
    boot(root, 1)
    write_sockets(root, [])


def write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    real = root / path.lstrip("/")
    real.parent.mkdir(parents=True, exist_ok=True)
    real.write_text(text, encoding="utf-8")
    real.chmod(mode)


def boot(root: Path, number: int) -> None:
    digest = hashlib.sha256(f"{root.name}/{number}".encode()).hexdigest()
    write(
        root, "/proc/sys/kernel/random/boot_id", f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}\n"
    )


def write_sockets(root: Path, ports: list[tuple[int, int]]) -> None:
    """/proc/net/tcp with listening sockets on loopback: (port, inode)."""
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"]
    lines += [f"  0: 0100007F:{port:04X} 00000000:0000 0A 0:0 00:0 0 0 0 {inode} 1" for port, inode in ports]
    write(root, "/proc/net/tcp", "\n".join(lines) + "\n")


def write_process(root: Path, pid: int, unit: str, inode: int | None) -> None:
    """A running process of a unit: its cgroup and the socket it listens on."""
    write(root, f"/proc/{pid}/cgroup", f"0::/system.slice/{unit}\n")
    write(root, f"/sys/fs/cgroup/system.slice/{unit}/cgroup.procs", f"{pid}\n")
    if inode is not None:
        folder = root / f"proc/{pid}/fd"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "3"
        if not link.is_symlink():
            os.symlink(f"socket:[{inode}]", link)


def packages(system: System) -> dict[str, str]:
    """Name → version of what is installed."""
    text = Path(system.path("/var/lib/dpkg/status")).read_text(encoding="utf-8")
    entries = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block.strip()]
    return {entry["Package"]: entry["Version"] for entry in entries}


def set_packages(root: Path, wanted: dict[str, str]) -> None:
    text = "".join(_STATUS.format(name=name, version=version) for name, version in sorted(wanted.items()))
    write(root, "/var/lib/dpkg/status", text)
    info = root / "var/lib/dpkg/info"
    for old in info.glob("*.list"):
        old.unlink()
    for name in wanted:
        (info / f"{name}.list").write_text("/.\n", encoding="utf-8")
