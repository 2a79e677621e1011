"""The lab: throwaway hosts that belong to one fleet. Called by `cli`, and by tests that need real hosts.

up(root, 3, gpus=2)         → three hosts run, hosts/lab-1.yaml … lab-3.yaml are written
reboot, cut, heal, power_off, power_on
ssh(root, "lab-1", [...])   → a look inside
down(root)                  → nothing is left
"""

import concurrent.futures
import dataclasses
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deployer.errors import DeployerError, UsageError
from deployer.lab import fleet_files, furnish, kernel, machine, network
from deployer.lab.image import ensure_image
from deployer.lab.needs import Progress, install_tools, require_machine
from deployer.lab.places import GIB, HostRecord, LabRecord, all_records, lab_key, locked, read_record, state_home

MOST_HOSTS = 200
BOOT_DEADLINE_S = 120.0


@dataclasses.dataclass(frozen=True, slots=True)
class LabHost:
    """One host of a lab as it is now. `connected`: its cable is not cut."""

    name: str
    address: str
    user: str
    host_key: str
    gpus: int
    running: bool
    connected: bool
    root: Path  # its file system, seen from this machine


def up(
    fleet_root: Path, count: int, *, gpus: int = 0, gpu_memory: int = 24 * GIB, on_progress: Progress | None = None
) -> list[LabHost]:
    """Makes `count` hosts run, and returns them when their sshd answers. Hosts that are there stay as they are (they are
    powered on and healed); new ones get `gpus` imaginary GPUs of `gpu_memory` bytes each. Raises DeployerError."""
    say = on_progress or (lambda _: None)
    if not 1 <= count <= MOST_HOSTS:
        raise UsageError(f"a lab has 1 to {MOST_HOSTS} hosts, not {count}")
    if not 0 <= gpus <= 64 or gpu_memory <= 0:
        raise UsageError("a lab host has 0 to 64 GPUs, each with some memory")
    root = _fleet(fleet_root)
    require_machine()
    install_tools(say, compiler=bool(gpus))
    image = ensure_image(say)
    with locked(_lock(root)):
        lab = _record(root, image)
        login_key = fleet_files.make_login_key(root)
        network.raise_bridge(lab)
        for number in range(len(lab.hosts) + 1, count + 1):
            _add_host(lab, number, login_key, gpus, gpu_memory)
        fleet_files.write_host_files(lab)
        say(f"booting {count} host{'s' * (count != 1)}")
        _boot(lab, lab.hosts[:count], say)
        return _views(lab)


def down(fleet_root: Path, *, on_progress: Progress | None = None) -> bool:
    """Ends and removes the fleet's lab, files in the fleet included. False when there was none."""
    root = fleet_root.resolve()
    lab = read_record(lab_key(root))
    if lab is None:
        return False
    require_machine()
    with locked(_lock(root)):
        _each(lab.hosts, lambda host: machine.remove(lab, host))
        network.remove_bridge(lab)
        if root.is_dir():
            fleet_files.remove_files(lab)
        shutil.rmtree(lab.home)
        _lock(root).unlink(missing_ok=True)
    (on_progress or (lambda _: None))(f"{len(lab.hosts)} hosts are gone")
    return True


def list_hosts(fleet_root: Path) -> list[LabHost]:
    """The hosts of the fleet's lab; empty when it has none."""
    lab = read_record(lab_key(fleet_root))
    return _views(lab) if lab else []


def list_labs() -> list[Path]:
    """The fleets on this machine that have a lab, those whose folder is gone included."""
    return [Path(record.root) for record in all_records()]


def reboot(fleet_root: Path, name: str, *, graceful: bool = False) -> None:
    """Ends the host as a power failure would (or `graceful`: its systemd stops everything) and boots it again."""
    lab, host = _find(fleet_root, name)
    with locked(_lock(Path(lab.root))):
        machine.stop(lab, host, graceful=graceful)
        _boot(lab, [host], lambda _: None)


def power_off(fleet_root: Path, name: str, *, graceful: bool = False) -> None:
    """Ends the host; `power_on` or `up` boot it again with the disk it had."""
    lab, host = _find(fleet_root, name)
    machine.stop(lab, host, graceful=graceful)


def power_on(fleet_root: Path, name: str) -> None:
    """Boots a host that was powered off, and returns when its sshd answers."""
    lab, host = _find(fleet_root, name)
    with locked(_lock(Path(lab.root))):
        _boot(lab, [host], lambda _: None)


def cut(fleet_root: Path, name: str) -> None:
    """Takes the host off the network: its packets are lost, connections hang."""
    lab, host = _find(fleet_root, name)
    network.set_cable(lab, host, connected=False)


def heal(fleet_root: Path, name: str) -> None:
    """Puts the host back on the network."""
    lab, host = _find(fleet_root, name)
    network.set_cable(lab, host, connected=True)


def sudo_password(fleet_root: Path) -> str:
    """The password of the hosts' users; `admin` needs it for sudo."""
    lab = read_record(lab_key(fleet_root))
    if lab is None:
        raise DeployerError("this fleet has no lab", hint="deployer lab up 1")
    return lab.password


def ssh_command(fleet_root: Path, name: str, argv: Sequence[str] = (), *, user: str = "root") -> list[str]:
    """The ssh command line that runs argv, its words quoted, on the host; a shell when argv is empty."""
    lab, host = _find(fleet_root, name)
    folder = Path(lab.root) / fleet_files.FOLDER
    settings = {
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": f'"{folder}/known_hosts"',
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "LogLevel": "ERROR",
    }
    options = ["-F", "/dev/null", "-i", str(folder / "id_ed25519"), "-l", user]
    for key, value in settings.items():
        options += ["-o", f"{key}={value}"]
    return ["ssh", *options, lab.address(host), *(["--", shlex.join(argv)] if argv else [])]


def ssh(fleet_root: Path, name: str, argv: Sequence[str] = (), *, user: str = "root") -> int:
    """Runs argv on the host with this process's own input and output, or a shell; returns its exit status (255: ssh
    itself failed)."""
    return subprocess.run(ssh_command(fleet_root, name, argv, user=user), check=False).returncode


def _fleet(fleet_root: Path) -> Path:
    root = fleet_root.resolve()
    if not (root / "deployer.yaml").is_file():
        raise DeployerError(
            "there is no fleet here: no deployer.yaml", where=str(root), hint="`deployer init` makes one; -C names another folder"
        )
    return root


def _lock(root: Path) -> Path:
    return state_home() / f"{lab_key(root)}.lock"


def _record(root: Path, image: str) -> LabRecord:
    """The fleet's lab, or a new one on a network nobody uses."""
    known = read_record(lab_key(root))
    if known:
        return known
    with locked(kernel.lock_file()):
        lab = LabRecord(lab_key(root), str(root), network.choose_network(), image, secrets.token_urlsafe(12))
        lab.save()
    return lab


def _add_host(lab: LabRecord, number: int, login_key: str, gpus: int, gpu_memory: int) -> None:
    draft = HostRecord(number, host_key="", gpus=gpus)
    machine.remove(lab, draft)  # what an interrupted `up` left
    machine.mount(lab, draft)
    root = machine.root_of(lab, draft)
    host = dataclasses.replace(draft, host_key=furnish.make_host_key(root))
    furnish.furnish(lab, host, root, login_key=login_key, gpu_memory=gpu_memory)
    lab.hosts.append(host)
    lab.save()


def _boot(lab: LabRecord, hosts: Sequence[HostRecord], say: Progress) -> None:
    network.raise_bridge(lab)
    for host in hosts:
        machine.mount(lab, host)
        network.plug_in(lab, host)
        network.set_cable(lab, host, connected=True)
        machine.start(lab, host)
    deadline = time.monotonic() + BOOT_DEADLINE_S
    for host in hosts:
        machine.wait_for_ssh(lab, host, deadline=deadline)
        say(f"{host.name} answers at {lab.address(host)}")


def _each(hosts: Sequence[HostRecord], work: Callable[[HostRecord], None]) -> None:
    """Does the same to all hosts at once; the first failure is raised when all have ended."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        for done in [pool.submit(work, host) for host in hosts]:
            done.result()


def _find(fleet_root: Path, name: str) -> tuple[LabRecord, HostRecord]:
    lab = read_record(lab_key(fleet_root))
    if lab is None:
        raise DeployerError("this fleet has no lab", hint="deployer lab up 1")
    for host in lab.hosts:
        if host.name == name:
            return lab, host
    raise DeployerError(f"the lab has no host {name!r}", hint="its hosts: " + ", ".join(host.name for host in lab.hosts))


def _views(lab: LabRecord) -> list[LabHost]:
    return [
        LabHost(
            host.name,
            lab.address(host),
            fleet_files.USER,
            host.host_key,
            host.gpus,
            running=machine.leader(lab, host) is not None,
            connected=network.is_connected(lab, host),
            root=machine.root_of(lab, host),
        )
        for host in lab.hosts
    ]
