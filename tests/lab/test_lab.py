"""The lab itself: hosts are real, differ from each other, survive what tests do to them, and leave nothing behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.errors import DeployerError, UsageError
from deployer.lab import lab, network, places
from tests.lab.conftest import LabFleet

pytestmark = pytest.mark.lab


@pytest.fixture
def other_fleet(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "other fleet 'x'"
    root.mkdir()
    (root / "deployer.yaml").write_text("id: 0ther\nname: other\n")
    yield root
    lab.down(root)


def command_line(file: Path) -> str:
    """Empty for a process that has ended since it was listed."""
    try:
        return file.read_text().replace("\0", " ")
    except OSError:
        return ""


def traces(key: str, number: int) -> list[str]:
    """What of a lab is left on this machine, in the kernel's words."""
    said = [
        *Path("/proc/self/mountinfo").read_text().splitlines(),
        *subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines(),
        *os.listdir("/run/netns"),
        *subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout.splitlines(),
        *map(command_line, Path("/proc").glob("[0-9]*/cmdline")),
        *map(str, Path("/sys/fs/cgroup").glob("**/deployer-lab/*")),
        *map(str, places.state_home().glob("*")),
    ]
    marks = (key, f"dlab{number}", f"dl{number}-", f"10.87.{number}.")
    return [line for line in said if any(mark in line for mark in marks)]


def test_hosts_run_systemd_and_have_their_own_identity(lab_fleet: LabFleet) -> None:
    assert set(lab_fleet.hosts) >= {"lab-1", "lab-2", "lab-3"}
    ids = {lab_fleet.run(name, ["cat", "/etc/machine-id"]).stdout for name in ("lab-1", "lab-2", "lab-3")}
    assert len(ids) == 3
    assert lab_fleet.run("lab-2", ["systemctl", "is-system-running", "--wait"]).stdout.strip() == "running"
    assert len({host.host_key for host in lab_fleet.hosts.values()}) == len(lab_fleet.hosts)


def test_up_again_changes_nothing(lab_fleet: LabFleet) -> None:
    before = {
        name: lab_fleet.run(name, ["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id"]).stdout
        for name in ("lab-1", "lab-2")
    }
    started = {name: lab_fleet.run(name, ["stat", "-c", "%Y", "/proc/1"]).stdout for name in before}
    files = {p.name: p.read_text() for p in (lab_fleet.root / "hosts").iterdir()}
    lab.up(lab_fleet.root, 3)
    assert {name: lab_fleet.run(name, ["stat", "-c", "%Y", "/proc/1"]).stdout for name in before} == started
    assert {p.name: p.read_text() for p in (lab_fleet.root / "hosts").iterdir()} == files


def test_one_hosts_processes_are_not_another_hosts(lab_fleet: LabFleet) -> None:
    """Two hosts run a unit of one name; stopping it on one does not wait for, or end, the other's."""
    for name in ("lab-1", "lab-2"):
        lab_fleet.run(name, ["systemd-run", "--unit=same-name", "sleep", "600"])
    lab_fleet.run("lab-1", ["timeout", "10", "systemctl", "stop", "same-name"])
    assert lab_fleet.run("lab-2", ["systemctl", "is-active", "same-name"]).stdout.strip() == "active"
    lab_fleet.run("lab-2", ["systemctl", "stop", "same-name"])


def test_a_reboot_keeps_the_disk_and_ends_every_process(lab_fleet: LabFleet) -> None:
    lab_fleet.run("lab-2", ["sh", "-c", "echo kept > /var/lib/kept; echo gone > /run/gone"])
    lab_fleet.reboot("lab-2")
    assert lab_fleet.run("lab-2", ["cat", "/var/lib/kept"]).stdout == "kept\n"
    assert lab_fleet.run("lab-2", ["test", "-e", "/run/gone"], check=False).returncode == 1


def test_a_graceful_reboot_lets_units_stop(lab_fleet: LabFleet) -> None:
    lab_fleet.run("lab-2", ["systemd-run", "-p", "ExecStop=/bin/touch /var/lib/was-stopped", "--unit=patient", "sleep", "600"])
    lab_fleet.reboot("lab-2", graceful=True)
    lab_fleet.run("lab-2", ["test", "-e", "/var/lib/was-stopped"])


def test_a_cut_host_is_lost_until_it_is_healed(lab_fleet: LabFleet) -> None:
    lab_fleet.cut("lab-3")
    assert not lab_fleet.hosts["lab-3"].connected
    address = lab_fleet.hosts["lab-3"].address
    lost = subprocess.run(["timeout", "1", "bash", "-c", f"</dev/tcp/{address}/22"], capture_output=True, check=False)
    assert lost.returncode == 124
    lab_fleet.heal("lab-3")
    assert lab_fleet.run("lab-3", ["true"]).returncode == 0


def test_words_arrive_as_they_were_given(lab_fleet: LabFleet) -> None:
    words = ["a b", "'", '"', "$HOME", "%", "", "ü", "*", "--", "a;b\nc"]
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    assert json.loads(lab_fleet.run("lab-1", ["python3", "-c", script, *words]).stdout) == words


def test_users_have_the_sudo_they_are_said_to_have(lab_fleet: LabFleet) -> None:
    assert lab_fleet.run("lab-1", ["sudo", "-n", "id", "-u"], user="deploy").stdout == "0\n"
    assert lab_fleet.run("lab-1", ["sudo", "-n", "true"], user="admin", check=False).returncode == 1
    asked = lab_fleet.run("lab-1", ["sudo", "-S", "-p", "", "id", "-u"], user="admin", stdin=lab_fleet.sudo_password + "\n")
    assert asked.stdout == "0\n"
    refused = lab_fleet.run(
        "lab-1", ["sudo", "-S", "-p", "", "id"], user="guest", stdin=lab_fleet.sudo_password + "\n", check=False
    )
    assert refused.returncode == 1


def test_imaginary_gpus_are_what_the_file_says(lab_fleet: LabFleet) -> None:
    read = (
        "import ctypes as c; n = c.CDLL('libnvidia-ml.so.1'); assert n.nvmlInitWithFlags(0) == 0\n"
        "k = c.c_uint(); n.nvmlDeviceGetCount_v2(c.byref(k)); out = []\n"
        "for i in range(k.value):\n"
        "    d = c.c_void_p(); n.nvmlDeviceGetHandleByIndex_v2(i, c.byref(d)); b = c.create_string_buffer(96)\n"
        "    n.nvmlDeviceGetUUID(d, b, 96); m = (c.c_ulonglong * 3)(); n.nvmlDeviceGetMemoryInfo(d, m)\n"
        "    out.append((b.value.decode(), m[0]))\n"
        "import json; print(json.dumps(out))\n"
    )
    found = json.loads(lab_fleet.run("lab-1", ["python3", "-c", read]).stdout)
    assert [memory for _, memory in found] == [24 * 2**30] * 2
    assert len({uuid for uuid, _ in found}) == 2
    lab_fleet.run("lab-1", ["sed", "-i.bak", f"s/{24 * 2**30}/{80 * 2**30}/", "/etc/deployer-lab/gpus"])
    assert [memory for _, memory in json.loads(lab_fleet.run("lab-1", ["python3", "-c", read]).stdout)] == [80 * 2**30] * 2
    lab_fleet.run("lab-1", ["mv", "/etc/deployer-lab/gpus.bak", "/etc/deployer-lab/gpus"])


def test_a_host_without_gpus_has_no_nvml(lab_fleet: LabFleet) -> None:
    assert (
        lab_fleet.run("lab-2", ["python3", "-c", "import ctypes; ctypes.CDLL('libnvidia-ml.so.1')"], check=False).returncode == 1
    )


def test_packages_install_at_once(lab_fleet: LabFleet) -> None:
    lab_fleet.run("lab-3", ["apt-get", "install", "-y", "-q", "tcsh"])
    assert lab_fleet.run("lab-3", ["tcsh", "-c", "echo $version"]).stdout.startswith("tcsh")


def test_two_labs_live_beside_each_other_and_one_goes_without_a_trace(lab_fleet: LabFleet, other_fleet: Path) -> None:
    [host] = lab.up(other_fleet, 1)
    record = places.read_record(places.lab_key(other_fleet))
    assert record
    assert host.address not in {h.address for h in lab_fleet.hosts.values()}
    assert lab.list_labs().count(other_fleet) == 1
    assert traces(record.key, record.network)
    key_file = other_fleet / ".deployer/lab/id_ed25519"
    assert key_file.stat().st_mode & 0o777 == 0o600
    (other_fleet / "hosts/lab-own.yaml").write_text("name: lab-own\n")
    assert lab.down(other_fleet)
    assert traces(record.key, record.network) == []
    assert [p.name for p in (other_fleet / "hosts").iterdir()] == ["lab-own.yaml"]
    assert not key_file.exists()
    assert lab_fleet.run("lab-1", ["true"]).returncode == 0
    assert not lab.down(other_fleet)


def test_what_a_crash_of_the_machine_leaves_is_repaired_by_up(other_fleet: Path) -> None:
    """After a crash nothing runs and nothing is mounted, but the record is there."""
    [host] = lab.up(other_fleet, 1)
    (host.root / "var/lib/kept").write_text("kept")
    record = places.read_record(places.lab_key(other_fleet))
    assert record
    lab.power_off(other_fleet, "lab-1")
    subprocess.run(["umount", str(host.root)], check=True)
    network.unplug(record, record.hosts[0])
    network.remove_bridge(record)
    [again] = lab.up(other_fleet, 1)
    assert again.running
    assert (again.root / "var/lib/kept").read_text() == "kept"


def test_hosts_outlive_the_command_that_started_them(other_fleet: Path) -> None:
    code = "import sys, pathlib; from deployer.lab import lab; lab.up(pathlib.Path(sys.argv[1]), 1)"
    command = [sys.executable, "-c", code, str(other_fleet)]
    subprocess.run(command, check=True, capture_output=True, start_new_session=True)
    assert [host.running for host in lab.list_hosts(other_fleet)] == [True]


def test_a_host_that_is_not_there_is_named(lab_fleet: LabFleet) -> None:
    with pytest.raises(DeployerError, match="no host 'lab-99'") as e:
        lab.cut(lab_fleet.root, "lab-99")
    assert "lab-1, lab-2" in str(e.value.hint)


def test_a_folder_without_a_fleet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployerError, match=r"no deployer\.yaml"):
        lab.up(tmp_path, 1)


def test_a_lab_of_no_hosts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 to 200 hosts, not 0"):
        lab.up(tmp_path, 0)


def test_hosts_share_uvs_cache_and_nothing_of_deployers_own(lab_fleet: LabFleet) -> None:
    lab_fleet.run("lab-1", ["sh", "-c", "mkdir -p /var/cache/deployer && touch /var/cache/deployer/own"])
    assert lab_fleet.run("lab-2", ["test", "-e", "/var/cache/deployer/own"], check=False).returncode == 1
    caches = [lab_fleet.run(name, ["sh", "-c", "stat -c %i $UV_CACHE_DIR/.."]).stdout for name in ("lab-1", "lab-2")]
    assert caches[0] == caches[1] != ""
    lab_fleet.run("lab-1", ["rm", "-r", "/var/cache/deployer"])
