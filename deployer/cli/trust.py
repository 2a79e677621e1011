"""Pins a host's key: fetched, shown, confirmed by a person, written into hosts/NAME.yaml. Called by `deployer hosts trust`."""

import re
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.cli import console
from deployer.errors import DeployerError, UsageError


def trust(fleet: Fleet, names: list[str], *, yes: bool, as_json: bool) -> int:
    from deployer.transport.hostkeys import fetch_for

    said = []
    if not names:
        console.say("every host's key is pinned already")
    for name in names:
        host = fleet.spec.hosts[name]
        key = fetch_for(fleet.root, fleet.spec, name)
        line = f"{key.type} {key.base64}"
        path = fleet.root / fleet.loaded.origins[f"host:{name}"]
        if host.host_key == line:
            console.say(f"{name}: {key.fingerprint} is pinned already")
        elif _approved(name, key.fingerprint, host.host_key is not None, yes=yes):
            _write(fleet, path, line)
            console.say(f"{name}: pinned in {path.relative_to(fleet.root)}")
        else:
            console.say(f"{name}: not pinned")
            continue
        said.append({"name": name, "fingerprint": key.fingerprint, "host_key": line})
    if as_json:
        console.emit({"hosts": said})
    return 0


def _approved(name: str, fingerprint: str, pinned: bool, *, yes: bool) -> bool:
    import sys

    other = " (ANOTHER KEY IS PINNED NOW)" if pinned else ""
    console.say(f"{name} shows {fingerprint}{other}")
    console.say("compare it with what the machine itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
    if yes:
        return True
    if not console.interactive():
        raise UsageError("nobody is here to compare the fingerprint", hint="--yes, when it was compared elsewhere")
    sys.stderr.write("is it the same? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _write(fleet: Fleet, path: Path, line: str) -> None:
    """One line of the file changes; the file is as it was when the fleet is not valid afterwards."""
    before = path.read_text(encoding="utf-8")
    wanted = f"host_key: {line}"
    found = re.compile(r"^host_key:.*$", re.MULTILINE)
    edited = found.sub(lambda _: wanted, before) if found.search(before) else f"{before.rstrip()}\n{wanted}\n"
    path.write_text(edited, encoding="utf-8")
    try:
        Fleet.load(fleet.root)
    except DeployerError:
        path.write_text(before, encoding="utf-8")
        raise
