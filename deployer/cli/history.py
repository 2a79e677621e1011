"""`deployer history`: the revisions of a deployment."""

import argparse

from deployer.app.times import ago
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet

EXAMPLES = ("deployer history chat", "deployer history chat --json", "deployer history chat -C fleets/acme")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        found = fleet.deployment(args.name).history()
    if args.json:
        console.emit({"name": args.name, "revisions": found})
        return 0
    if not found:
        console.out(f"{args.name} was never applied: deployer apply {args.name}")
        return 0
    rows: list[tuple[str, ...]] = [("REV", "WHEN", "WHO", "COMMIT", "WHERE", "WHY")]
    for entry in found:
        mark = f"{entry['revision']}{' *' if entry['current'] else ''}"
        commit = str(entry["git_commit"] or "–")[:7]
        rows.append((mark, ago(entry["at"]), str(entry["who"] or "–"), commit, " ".join(entry["hosts"]), str(entry["why"] or "")))
    console.out(console.table(rows))
    return 0
