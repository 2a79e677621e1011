"""`deployer rollback`: back to an earlier revision, and held there until git says the same or somebody releases it."""

import argparse

from deployer.app import gitedits
from deployer.app.planned import Planned
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import plan_and_carry_out

EXAMPLES = (
    "deployer rollback chat                          # to the last revision before this one",
    "deployer rollback chat 12 --why 'slow answers'  # deployer history chat lists them",
    "deployer rollback chat --until 12h              # and then what the files say counts again",
    "deployer rollback chat --write                  # and change deployments/chat.yaml to match",
    "deployer apply --release chat                   # later: what the files say counts again",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("revision", metavar="REVISION", nargs="?", type=int, help="default: the last before this that answered")
    parser.add_argument("--write", action="store_true", help="also change the deployment's file to say the same")
    parser.add_argument("--until", metavar="TIME", help="when the hold ends by itself: 2h, 3d, or ISO 8601")
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    return plan_and_carry_out(
        args,
        lambda fleet: fleet.rollback(args.name, args.revision, why=args.why, until=args.until),
        what="rollback",
        done=lambda planned: _after(planned, args),
    )


def _after(planned: Planned, args: argparse.Namespace) -> None:
    """What stands in the files now, and how long the hold lasts."""
    hold = planned.plan.roster.get("holds", {}).get(args.name, {})
    if args.write:
        _write(planned, args.name)
    if hold.get("revision") is None:
        console.say("nothing holds it: the files say the same")
        return
    console.say(
        f"{args.name} is held at revision {hold['revision']} until the files say the same and are applied, "
        f"or: deployer apply --release {args.name}"
    )


def _write(planned: Planned, name: str) -> None:
    fleet = planned.fleet
    found = gitedits.write(fleet, name, gitedits.edits(fleet, planned.plan, name))
    for edit in found.done:
        console.say(f"{found.file}: {edit.text}")
    for edit, why in found.left:
        console.say(f"not written: {edit.source or found.file}  {edit.text}  ({why})")
    if found.done:
        console.say(f"look at it with git diff, then: deployer lock && git commit {found.file} deployer.lock")
