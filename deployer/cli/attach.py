"""`deployer attach`: follows an apply that goes on on the hosts after its terminal is gone."""

import argparse

from deployer.app import steptimes
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import finish, follow
from deployer.cli.fleet import open_fleet
from deployer.errors import UsageError

EXAMPLES = ("deployer attach", "deployer attach 20260102T101112-a1b2c3", "deployer attach --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", help="which one (default: the only one)")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        found = fleet.running()
        if args.run:
            found = [one for one in found if one.run == args.run]
        if not found:
            console.say("no apply is running on the hosts that answered; deployer status shows what stands")
            return 0
        if len(found) > 1:
            runs = ", ".join(f"{one.run} by {one.who}" for one in found)
            raise UsageError(f"several applies are running: {runs}", hint="deployer attach RUN")
        one = found[0]
        console.say(f"following {one.run}, begun by {one.who} at {one.since}, on {', '.join(one.hosts)}")
        work = lambda listen, control: fleet.attach(one, listen, control)  # noqa: E731
        report = follow(work, as_json=args.json, times=steptimes.read(fleet.root))
        finish(fleet, report, as_json=args.json)
        return report.exit_code
