"""What a lab writes into the fleet it belongs to: hosts/lab-*.yaml, and the key to log in with. Called by `lab.lab`.

hosts/lab-1.yaml …          address, pinned host key, labels: what a person would write
.deployer/lab/id_ed25519    0600; never in git
.deployer/lab/known_hosts   for the ssh command
"""

from pathlib import Path

from deployer.lab.places import HostRecord, LabRecord
from deployer.lab.shell import run

MARK = "# written by `deployer lab up`; `deployer lab down` removes it"
FOLDER = ".deployer/lab"
KEY = f"{FOLDER}/id_ed25519"
USER = "deploy"


def make_login_key(root: Path) -> str:
    """Makes the key that opens this lab's hosts unless it is there; returns its public half."""
    key = root / KEY
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ignore = root / ".deployer/.gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    if not key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "deployer-lab", "-f", str(key)])
    return key.with_suffix(".pub").read_text().strip()


def host_yaml(lab: LabRecord, host: HostRecord) -> str:
    """The host's file. Every value is made by us of letters, digits and dots, except the key, which is base64."""
    return (
        "# yaml-language-server: $schema=../schemas/host.schema.json\n"
        f"{MARK}\n"
        f"name: {host.name}\n"
        f"address: {lab.address(host)}\n"
        f"user: {USER}\n"
        f"host_key: {host.host_key}\n"
        f"identity_file: {KEY}\n"
        f"labels: {{lab: 'true', gpu: '{'lab' if host.gpus else 'none'}'}}\n"
        "ports: 20000-20999\n"
    )


def write_host_files(lab: LabRecord) -> None:
    """Writes hosts/lab-*.yaml of all hosts and removes those of hosts that are gone. Keeps a person's edits: a file that
    already names this very host key is left as it is."""
    folder = Path(lab.root) / "hosts"
    folder.mkdir(exist_ok=True)
    for host in lab.hosts:
        file = folder / f"{host.name}.yaml"
        text = file.read_text() if file.exists() else ""
        if host.host_key not in text or lab.address(host) not in text:
            file.write_text(host_yaml(lab, host))
    known = "".join(f"{lab.address(host)} {host.host_key}\n" for host in lab.hosts)
    (Path(lab.root) / FOLDER / "known_hosts").write_text(known)


def remove_files(lab: LabRecord) -> None:
    """Takes away what `write_host_files` and `make_login_key` made, and nothing else."""
    root = Path(lab.root)
    for file in sorted((root / "hosts").glob("lab-*.yaml")):
        if MARK in file.read_text(errors="replace"):
            file.unlink()
    folder = root / FOLDER
    for name in ("id_ed25519", "id_ed25519.pub", "known_hosts"):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
