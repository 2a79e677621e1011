"""Where a lab keeps its things on this machine, and the little it has to remember. Called by `lab.lab`.

    <state>/deployer/lab/<key>/lab.json      what was asked for: hosts, network number, users' password
    <state>/deployer/lab/<key>/hosts/<name>/ upper, work, root (the overlay), console.log
    <cache>/deployer/lab/                    base images, packages shared by the hosts

Whether a host runs is never written down: the kernel is asked.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB
#: Where each host finds what uv has fetched before, on any host of this user: a cache, and all that hosts share.
SHARED_PACKAGES = "/var/cache/lab-packages"


@dataclass(frozen=True, slots=True)
class HostRecord:
    """One host as it was asked for. `number` gives name and address; memory in bytes."""

    number: int
    host_key: str
    gpus: int = 0

    @property
    def name(self) -> str:
        return f"lab-{self.number}"


@dataclass(slots=True)
class LabRecord:
    """What one lab remembers. `image`: name of the base image its hosts stand on; `network`: the x of 10.87.x.0/24."""

    key: str
    root: str
    network: int
    image: str
    password: str
    hosts: list[HostRecord] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return state_home() / self.key

    def host_home(self, host: HostRecord) -> Path:
        return self.home / "hosts" / host.name

    def address(self, host: HostRecord) -> str:
        return f"10.87.{self.network}.{host.number + 10}"

    def save(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.home / "lab.json.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self), indent=1))
        new.rename(self.home / "lab.json")


def state_home() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "deployer/lab"


def cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deployer/lab"


def lab_key(fleet_root: Path) -> str:
    """A lab belongs to one checkout of a fleet: its folder's name, for people, and a digest of where it is."""
    root = fleet_root.resolve()
    label = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-")[:20] or "fleet"
    return f"{label}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"


def read_record(key: str) -> LabRecord | None:
    """The lab of this key, or None when there is none."""
    try:
        raw = json.loads((state_home() / key / "lab.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    hosts = [HostRecord(**h) for h in raw.pop("hosts")]
    return LabRecord(**raw, hosts=hosts)


def all_records() -> list[LabRecord]:
    """Every lab of this user."""
    home = state_home()
    names = sorted(p.parent.name for p in home.glob("*/lab.json")) if home.is_dir() else []
    return [record for name in names if (record := read_record(name))]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `path` as a lock file; the kernel frees it when we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(os.fstat(fd), path.stat()):
            break
        os.close(fd)  # whom we waited for removed it: others lock the new one
    try:
        yield
    finally:
        os.close(fd)
