"""pyinfra and ansible-core set up to check what a no-op plan checks: each in an environment of its own, made once.

Per host: our units and settings have this content and mode, the units are enabled and running, HAProxy's package is there, the
artifacts' directories exist; and what a plan must know besides: distribution, memory, CPUs, disks, Pythons, listening ports,
GPUs, the noted revisions. Neither changes anything (`--dry`, `--check --diff`).
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT

PYINFRA, ANSIBLE = "pyinfra>=3.10,<4", "ansible-core>=2.19,<2.20"

#: What has no module of its own is asked in a shell, by both.
LOOKS = [
    "ls /usr/bin/python3*",
    "ss -Hltnp",
    "nvidia-smi -L || true",
    "cat /var/lib/deployer/bench/roster.json /var/lib/deployer/bench/*/current.json",
]

PYINFRA_DEPLOY = (
    f"LOOKS = {LOOKS!r}\n"
    + """\
from pyinfra import host
from pyinfra.facts.hardware import Cpus, Memory
from pyinfra.facts.server import Command, LinuxDistribution, Mounts
from pyinfra.operations import apt, files, systemd

for fact in (LinuxDistribution, Memory, Cpus, Mounts):
    host.get_fact(fact)
for look in LOOKS:
    host.get_fact(Command, look)
for path, source, mode in host.data.texts:
    files.put(name=f"file {path}", src=source, dest=path, mode=mode)
for unit in host.data.units:
    systemd.service(name=f"service {unit}", service=unit, running=True, enabled=True)
for path in host.data.artifacts:
    files.directory(name=f"artifact {path}", path=path)
apt.packages(name="haproxy", packages=["haproxy"], update=False)
"""
)

ANSIBLE_PLAY = """\
- hosts: all
  gather_facts: true
  become: true
  tasks:
    - name: files
      ansible.builtin.copy: {dest: "{{ item[0] }}", src: "{{ item[1] }}", mode: "0{{ item[2] }}"}
      loop: "{{ texts }}"
      no_log: true
    - name: services
      ansible.builtin.systemd_service: {name: "{{ item }}", state: started, enabled: true}
      loop: "{{ units }}"
    - name: artifacts
      ansible.builtin.stat: {path: "{{ item }}"}
      loop: "{{ artifacts }}"
    - name: looks
      ansible.builtin.shell: {cmd: "{{ item }}"}
      loop: "{{ looks }}"
      check_mode: false
      changed_when: false
    - name: haproxy is there
      ansible.builtin.command: {cmd: dpkg-query -W haproxy}
      check_mode: false
      changed_when: false
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A lab host as the peers see it. `texts`: (path there, the same file here, mode); `units`; `artifacts`: directories."""

    name: str
    address: str
    texts: tuple[tuple[str, str, str], ...]
    units: tuple[str, ...]
    artifacts: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """What the peers' inventories say of it."""
        return {"texts": [list(t) for t in self.texts], "units": list(self.units), "artifacts": list(self.artifacts)}


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    key: Path
    known_hosts: Path


def install(folder: Path, *requirements: str) -> Path:
    """The bin/ of a throwaway environment with these; made once."""
    if not (folder / "ready").exists():
        uv = str(ROOT / ".venv/bin/uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *requirements], check=True)
        (folder / "ready").touch()
    return folder / "bin"


def pyinfra(work: Path, hosts: list[Host], login: Login) -> list[str]:
    """The command of a dry run over all hosts at once."""
    bin_ = install(work / "pyinfra", PYINFRA)
    common = {"ssh_user": login.user, "ssh_key": str(login.key), "ssh_known_hosts_file": str(login.known_hosts), "_sudo": True}
    rows = [(h.name, {**common, "ssh_hostname": h.address, **h.data()}) for h in hosts]
    (work / "inventory.py").write_text(f"hosts = {rows!r}\n")
    (work / "checks.py").write_text(PYINFRA_DEPLOY)
    # Not -y: it would leave out the comparison with what is there, which is the work.
    command = [str(bin_ / "pyinfra"), "--dry", "--parallel", str(len(hosts))]
    return [*command, str(work / "inventory.py"), str(work / "checks.py")]


def ansible(work: Path, hosts: list[Host], login: Login) -> tuple[list[str], dict[str, str]]:
    """The command of a check run over all hosts at once, and its environment: pipelining, kept connections."""
    bin_ = install(work / "ansible", ANSIBLE)
    rows = {h.name: {"ansible_host": h.address, **h.data()} for h in hosts}
    arguments = f"-o UserKnownHostsFile={login.known_hosts} -o ControlMaster=auto -o ControlPersist=60s"
    shared = {
        "ansible_user": login.user,
        "ansible_ssh_private_key_file": str(login.key),
        "ansible_ssh_common_args": arguments,
        "ansible_python_interpreter": "/usr/bin/python3",
        "looks": LOOKS,
    }
    (work / "inventory.json").write_text(json.dumps({"all": {"hosts": rows, "vars": shared}}))
    (work / "play.yaml").write_text(ANSIBLE_PLAY)
    environment = {
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_FORKS": str(len(hosts)),
        "ANSIBLE_HOME": str(work / "ansible-home"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"),
    }
    return [
        str(bin_ / "ansible-playbook"),
        "-i",
        str(work / "inventory.json"),
        "--check",
        "--diff",
        str(work / "play.yaml"),
    ], environment
