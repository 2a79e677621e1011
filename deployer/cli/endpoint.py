"""`deployer endpoint`: the address of a deployment, with requests to copy."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet

EXAMPLES = (
    "deployer endpoint chat",
    "deployer endpoint chat --json | jq -r .url",
    'sh -c "$(deployer endpoint chat --json | jq -r .curl)"',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        found = fleet.endpoint(args.name)
    if args.json:
        console.emit(found.json())
        return 0
    note = (
        f"\n(answers only on {found.gateway} itself: endpoint.keys or endpoint.open, and gateway.tls, open it)"
        if found.loopback
        else ""
    )
    console.out(f"{found.url}{note}\n\n{found.curl}\n\n{found.python}")
    return 0
