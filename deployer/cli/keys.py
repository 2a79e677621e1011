"""`deployer keys`: API keys of an endpoint. A key is shown once, when it is made; the YAML gets its SHA-256."""

import argparse
import hashlib
import re
import secrets
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.app.keyfile import add_key, remove_key
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.errors import DeployerError, UsageError
from deployer.spec.models import ApiKey

EXAMPLES = ("deployer keys create chat team-a", "deployer keys list chat", "deployer keys revoke chat team-a")


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = shared.verbs(parser)
    create = verbs.add_parser("create", help="make a key, show it once, write its SHA-256 into the YAML")
    listing = verbs.add_parser("list", help="the keys of a deployment, or of all")
    revoke = verbs.add_parser("revoke", help="take a key out of the YAML")
    for verb in (create, revoke):
        verb.add_argument("deployment", metavar="DEPLOYMENT")
        verb.add_argument("key_name", metavar="KEY", nargs="?", help="for whom it is, as team-a")
        verb.add_argument("--name", help="the same")
    listing.add_argument("deployment", metavar="DEPLOYMENT", nargs="?")
    for verb in (create, listing, revoke):
        shared.chdir_again(verb)
        shared.as_json(verb)


def run(args: argparse.Namespace) -> int:
    if args.verb != "list":
        args.name = args.key_name or args.name
        if not args.name:
            raise UsageError("the key needs a name", hint=f"deployer keys {args.verb} {args.deployment} team-a")
    with open_fleet(args) as fleet:
        if args.deployment:
            fleet.known(deployments=[args.deployment])
        return {"create": _create, "list": _list, "revoke": _revoke}[args.verb](fleet, args)


def _create(fleet: Fleet, args: argparse.Namespace) -> int:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", args.name) or len(args.name) > 40:
        raise UsageError(f"{args.name!r} cannot be the name of a key", hint="a-z, 0-9 and -, at most 40")
    if args.name in {key.name for key in fleet.spec.deployments[args.deployment].endpoint.keys}:
        raise UsageError(
            f"{args.deployment} has a key {args.name} already", hint=f"deployer keys revoke {args.deployment} {args.name}"
        )
    key = f"sk-{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    path = _file(fleet, args.deployment)
    edited = add_key(path.read_text(encoding="utf-8"), args.name, digest)
    written = edited is not None and _write(fleet, path, edited)
    if args.json:
        found = {"deployment": args.deployment, "name": args.name, "key": key, "sha256": digest, "written": written}
        console.emit(found)
    else:
        console.out(key)
    shown = path.relative_to(fleet.root)
    if written:
        console.say(
            f"This is the only time it is shown. {shown} has its SHA-256; deployer apply {args.deployment} makes it work."
        )
    else:
        console.say(
            f"This is the only time it is shown. Add to endpoint.keys in {shown}:\n  - {{name: {args.name}, sha256: {digest}}}"
        )
    return 0


def _revoke(fleet: Fleet, args: argparse.Namespace) -> int:
    if args.name not in {key.name for key in fleet.spec.deployments[args.deployment].endpoint.keys}:
        raise UsageError(f"{args.deployment} has no key {args.name}", hint=f"deployer keys list {args.deployment}")
    path = _file(fleet, args.deployment)
    edited = remove_key(path.read_text(encoding="utf-8"), args.name)
    shown = path.relative_to(fleet.root)
    if edited is None or not _write(fleet, path, edited):
        raise DeployerError(
            f"the key {args.name} must be taken out by hand", where=str(shown), hint="it is written there in a special way"
        )
    if args.json:
        console.emit({"deployment": args.deployment, "name": args.name, "revoked": True})
    console.say(f"{args.name} is out of {shown}; it works until deployer apply {args.deployment}")
    return 0


def _list(fleet: Fleet, args: argparse.Namespace) -> int:
    names = [args.deployment] if args.deployment else sorted(fleet.spec.deployments)
    found = [(name, key) for name in names for key in fleet.spec.deployments[name].endpoint.keys]
    if args.json:
        console.emit({"keys": [_json(deployment, key) for deployment, key in found]})
    elif not found:
        console.out(f"no keys yet: deployer keys create {names[0] if names else 'NAME'} team-a")
    else:
        rows = [(deployment, key.name, _known_by(key)) for deployment, key in found]
        console.out(console.table([("DEPLOYMENT", "KEY", "KNOWN BY"), *rows]))
    return 0


def _json(deployment: str, key: ApiKey) -> dict[str, str | None]:
    secret = key.secret.id if key.secret else None
    return {"deployment": deployment, "name": key.name, "sha256": key.sha256, "secret": secret}


def _known_by(key: ApiKey) -> str:
    return f"sha256 {key.sha256[:12]}…" if key.sha256 else key.secret.id if key.secret else "–"


def _file(fleet: Fleet, deployment: str) -> Path:
    return fleet.root / fleet.loaded.origins[f"deployment:{deployment}"]


def _write(fleet: Fleet, path: Path, edited: str) -> bool:
    """False, with the file as it was, when the fleet is not valid afterwards."""
    before = path.read_text(encoding="utf-8")
    path.write_text(edited, encoding="utf-8")
    try:
        Fleet.load(fleet.root)
    except DeployerError:
        path.write_text(before, encoding="utf-8")
        return False
    return True
