"""`deployer init`: a new fleet in a folder."""

import argparse
import re
import secrets
from pathlib import Path

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.engines import settings_models
from deployer.errors import DeployerError, UsageError

EXAMPLES = ("deployer init", "deployer init fleets/acme", "deployer init --name acme")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", nargs="?", help="where (default: the folder of -C)")
    parser.add_argument("--name", help="the fleet's name (default: the folder's)")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    from deployer.spec.scaffold import init

    target = Path(args.fleet) / (args.directory or ".")
    if (target / "deployer.yaml").exists():
        raise DeployerError("there is a fleet already: deployer.yaml", where=str(target), hint="deployer validate checks it")
    name = args.name or _name(target.resolve().name)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name) or len(name) > 40:
        raise UsageError(f"{name!r} cannot be a fleet's name", hint="a-z, 0-9 and -, at most 40; give one with --name")
    try:
        written = init(target, id=secrets.token_hex(4), name=name, settings=settings_models())
    except OSError as error:
        raise DeployerError(f"the fleet cannot be written: {error.strerror}", where=str(target)) from None
    if args.json:
        console.emit({"fleet": name, "files": written})
        return 0
    console.out("\n".join(f"  + {file}" for file in written if not file.startswith("schemas/")))
    console.say(f"fleet {name} is made. Next: write hosts/NAME.yaml and deployments/NAME.yaml, then deployer validate")
    return 0


def _name(folder: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:40].strip("-") or "fleet"
