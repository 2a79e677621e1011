"""Programs that steps start, simulated: uv, apt, the download, a converter. Each leaves what the real one would leave."""

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.agent.system import Done
from deployer.transport.simulation import furniture

if TYPE_CHECKING:
    from deployer.transport.simulation.machine import Machine

OK = Done(0, b"", b"")
DEPENDENCIES = {"haproxy": {"haproxy": "2.6.12-1+deb12u3", "liblua5.3-0": "5.3.6-2"}}


def run(machine: "Machine", argv: list[str], given: bytes) -> Done:
    """The outcome of a program that is not systemd's."""
    name = os.path.basename(argv[0])
    if name == "apt-get":
        return _apt(machine, argv)
    if name == "dpkg-query":
        return Done(0, "".join(f"ii  {package}\n" for package in sorted(furniture.packages(machine))).encode(), b"")
    if name == "haproxy":
        return _haproxy(argv)
    if name == "openssl":
        return _openssl(machine, argv)
    if name == "uv":
        return _uv(machine, argv)
    if argv[-1].endswith("hub_download.py"):
        return _download(machine, json.loads(given))
    if argv[-1].endswith("_check.py"):
        said = {"wrong": machine.engine_refuses} if machine.engine_refuses is not None else None
        return Done(0, json.dumps(said).encode() if said else b"", b"")
    made = next((word for word in argv if word.endswith("/made")), None)
    if made is not None:
        Path(made).mkdir()
        (Path(made) / "model.bin").write_bytes(machine.converted)
        (Path(made) / "config.json").write_bytes(b"{}")
    return OK


def _haproxy(argv: list[str]) -> Done:
    folder = Path(argv[argv.index("-f") + 1])
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.cfg"))] if folder.is_dir() else []
    if not texts or any("BROKEN" in text for text in texts):
        return Done(1, b"", b"[ALERT] (1) : config : nothing to read, or not to be understood\n")
    return OK


def _openssl(machine: "Machine", argv: list[str]) -> Done:
    """A certificate and a key that only look like ones, another for each host."""
    text = base64.b64encode(machine.root.encode()).decode()
    for flag, label in (("-keyout", "PRIVATE KEY"), ("-out", "CERTIFICATE")):
        Path(argv[argv.index(flag) + 1]).write_text(f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n", encoding="ascii")
    return OK


def _apt(machine: "Machine", argv: list[str]) -> Done:
    if machine.offline:
        return Done(100, b"", b"E: Unable to fetch some archives\n")
    installed = furniture.packages(machine)
    names = [word for word in argv[1:] if not word.startswith("-") and "=" not in word and "::" not in word]
    verb, rest = names[0], names[1:]
    if verb == "install":
        for name in rest:
            installed.update(DEPENDENCIES.get(name, {name: "1.0"}))
            _program(machine, name).write_text("#!/bin/sh\n", encoding="utf-8")
            _program(machine, name).chmod(0o755)
    elif verb == "purge":
        for name in rest:
            installed.pop(name, None)
            _program(machine, name).unlink(missing_ok=True)
    furniture.set_packages(Path(machine.root), installed)
    return OK


def _program(machine: "Machine", name: str) -> Path:
    return Path(machine.path(f"/usr/sbin/{name}"))


def _uv(machine: "Machine", argv: list[str]) -> Done:
    if argv[1] == "venv":
        target = Path(argv[-1])
        (target / "bin").mkdir(parents=True, exist_ok=True)
        (target / "bin/python").write_text("#!/bin/sh\n", encoding="utf-8")
        (target / "bin/python").chmod(0o755)
        return OK
    if machine.offline:
        return Done(2, b"", b"error: Failed to fetch: `https://index.example/simple/torch/`\n")
    requirements = Path(argv[-1])
    site = requirements.parent / "lib/site-packages"
    site.mkdir(parents=True, exist_ok=True)
    (site / "installed.txt").write_bytes(requirements.read_bytes())
    return OK


def _download(machine: "Machine", job: dict[str, object]) -> Done:
    """Files of the right size in four pieces, so that there is something to watch; their digests are taken on trust."""
    machine.tokens.append(job["token"] if isinstance(job["token"], str) else None)
    if machine.hub_error is not None:
        error, message = machine.hub_error
        return Done(1, json.dumps({"error": error, "message": message}).encode(), b"")
    folder = Path(str(job["directory"]))
    for name, size in machine.expected.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in machine.hub:
            target.write_bytes(machine.hub[name])
            continue
        target.touch()
        for quarter in range(1, 5):
            os.truncate(target, size * quarter // 4)
            machine.sleep(0.25)
            machine.tick()
        machine.trust(target)
    return OK
