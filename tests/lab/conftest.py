"""One lab for all lab tests of a session, or of each of its workers: `lab_fleet`. Three hosts; lab-1 has two imaginary GPUs.

DEPLOYER_LAB_KEEP=1 leaves the hosts running between sessions, for people who work on one test.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.lab import lab


@dataclass
class LabFleet:
    """A fleet whose hosts are real. `root` holds deployer.yaml and hosts/lab-*.yaml."""

    root: Path

    @property
    def hosts(self) -> dict[str, lab.LabHost]:
        return {host.name: host for host in lab.list_hosts(self.root)}

    @property
    def sudo_password(self) -> str:
        return lab.sudo_password(self.root)

    def run(
        self, host: str, argv: Sequence[str], *, user: str = "root", stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs argv on the host over ssh. With `check` a failure is an AssertionError with both outputs."""
        command = lab.ssh_command(self.root, host, argv, user=user)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, f"{argv} on {host}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def cut(self, host: str) -> None:
        lab.cut(self.root, host)

    def heal(self, host: str) -> None:
        lab.heal(self.root, host)

    def reboot(self, host: str, *, graceful: bool = False) -> None:
        lab.reboot(self.root, host, graceful=graceful)

    def power_off(self, host: str) -> None:
        lab.power_off(self.root, host)

    def power_on(self, host: str) -> None:
        lab.power_on(self.root, host)

    def grow(self, count: int) -> None:
        """Makes the lab have at least `count` hosts; the new ones have no GPU."""
        lab.up(self.root, count)


def lab_root() -> Path:
    """One place per checkout and worker, so that what a killed session left is found and removed by the next."""
    checkout = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    return Path(tempfile.gettempdir()) / f"deployer-lab-tests-{checkout}-{worker}" / "fleet"


@pytest.fixture(scope="session")
def lab_fleet() -> Iterator[LabFleet]:
    root = lab_root()
    keep = bool(os.environ.get("DEPLOYER_LAB_KEEP"))
    if not keep:
        lab.down(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / "deployer.yaml").write_text("id: 1abf1ee7\nname: labtests\n")
    lab.up(root, 1, gpus=2)
    lab.up(root, 3)
    fleet = LabFleet(root)
    yield fleet
    if not keep:
        lab.down(root)
