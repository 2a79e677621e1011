"""`deployer schema`: the JSON Schemas of the fleet's files, for editors."""

import argparse
from pathlib import Path

from deployer.cli import console
from deployer.engines import settings_models
from deployer.errors import DeployerError, UsageError
from deployer.spec.schema import drift, schemas, write

EXAMPLES = (
    "deployer schema",
    "deployer schema --check   # in CI: are schemas/ up to date?",
    "deployer schema --print deployment",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", nargs="?", help="where (default: schemas/ of the fleet)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when they differ")
    parser.add_argument("--print", metavar="NAME", dest="shown", help="print one: deployment, host, policy or deployer")


def run(args: argparse.Namespace) -> int:
    models = settings_models()
    if args.shown:
        found = schemas(models)
        name = f"{args.shown.removesuffix('.schema.json')}.schema.json"
        if name not in found:
            raise UsageError(f"there is no schema {args.shown}", hint=f"there are: {', '.join(sorted(found))}")
        console.emit(found[name])
        return 0
    directory = Path(args.directory) if args.directory else Path(args.fleet) / "schemas"
    if args.check:
        late = drift(directory, models)
        if late:
            raise DeployerError(f"not up to date: {', '.join(late)}", where=str(directory), hint="deployer schema")
        console.out("schemas are up to date")
        return 0
    changed = write(directory, models)
    console.out("\n".join(f"  ~ {name}" for name in changed) if changed else "schemas are up to date")
    return 0
