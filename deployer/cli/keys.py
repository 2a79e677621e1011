"""`deployer keys`: API keys of an endpoint. A key is shown once, when it is made; the YAML gets its SHA-256 (app/apikeys)."""

import argparse

from deployer.app import apikeys
from deployer.app.fleet import Fleet
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.errors import UsageError
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
    made = apikeys.create(fleet, args.deployment, args.name)
    if args.json:
        found = {"deployment": made.deployment, "name": made.name, "key": made.key, "sha256": made.sha256}
        console.emit({**found, "written": made.written})
    else:
        console.out(made.key)
    if made.written:
        console.say(
            f"This is the only time it is shown. {made.file} has its SHA-256; deployer apply {made.deployment} makes it work."
        )
    else:
        console.say(f"This is the only time it is shown. Add to endpoint.keys in {made.file}:\n  {made.line}")
    return 0


def _revoke(fleet: Fleet, args: argparse.Namespace) -> int:
    shown = apikeys.revoke(fleet, args.deployment, args.name)
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
