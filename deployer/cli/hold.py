"""`deployer stop`, `start`, `destroy`: exceptions that a person makes, planned, shown and applied like anything else."""

import argparse

from deployer.app.moments import moment
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import carry_out, ends_with_report, wait_for_others
from deployer.cli.fleet import open_fleet
from deployer.cli.planning import show

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
    with ends_with_report(args.json), open_fleet(args) as fleet:
        wait_for_others(fleet, args)
        planned = fleet.hold(args.names, _KINDS[args.command], why=args.why, until=moment(args.until), allow=args.allow)
        if not args.json:
            show(planned)
        code = carry_out(planned, args, what=args.command)
    if code == 0 and args.command != "start" and not args.json:
        console.say(f"held until somebody lifts it: deployer apply --release {args.names[0]}")
    return code
