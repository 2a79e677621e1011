"""`deployer promote`, `deployer revert`: what becomes of a canary. And what apply says when it has started one."""

import argparse

from deployer.app import canary
from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import plan_and_carry_out

EXAMPLES = (
    "deployer promote chat                           # all replicas become what the canary is",
    "deployer promote chat --yes --json",
    "deployer revert chat --why 'slower answers'     # the canary goes; held at the revision of the others",
    "deployer apply --release chat                   # after a revert: what the files say counts again",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a deployment of which a canary stands")
    parser.add_argument("--until", metavar="TIME", help="revert: when the hold ends by itself: 2h, 3d, or ISO 8601")
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    return plan_and_carry_out(args, lambda fleet: _planned(fleet, args), what=args.command)


def _planned(fleet: Fleet, args: argparse.Namespace) -> Planned:
    if args.command == "promote":
        return fleet.promote(args.name)
    return fleet.revert(args.name, why=args.why, until=args.until)


def stands(planned: Planned) -> None:
    """After an apply that went well: a canary waits for a person's word."""
    for name in canary.begun(planned):
        if name not in canary.good(planned):
            console.say(f"{name}: its canary stands. deployer promote {name}, or deployer revert {name}")
