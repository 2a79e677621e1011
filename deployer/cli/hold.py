"""`deployer stop`, `start`, `destroy`: exceptions that a person makes, planned, shown and applied like anything else."""

import argparse

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import plan_and_carry_out

EXAMPLES = (
    "deployer stop chat --why 'GPU maintenance'",
    "deployer stop chat embed --until 2h",
    "deployer start chat",
    "deployer start chat embed --yes",
    "deployer start chat --json --yes",
    "deployer destroy chat",
    "deployer destroy chat --yes --why 'replaced by chat-2'",
    "deployer destroy chat --json --yes",
)

_KINDS = {"stop": "stopped", "start": None, "destroy": "destroyed"}


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser, at_least_one=True)
    parser.add_argument("--until", metavar="TIME", help="when it ends by itself: 2h, 3d, or ISO 8601")
    shared.allow(parser)
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    def planned(fleet: Fleet) -> Planned:
        return fleet.hold(args.names, _KINDS[args.command], why=args.why, until=args.until, allow=args.allow)

    def done(_: Planned) -> None:
        if args.command != "start" and not args.json:
            console.say(f"held until somebody lifts it: deployer apply --release {args.names[0]}")

    return plan_and_carry_out(args, planned, what=args.command, done=done)
