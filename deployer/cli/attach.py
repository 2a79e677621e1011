"""`deployer attach`: follows an apply that goes on on the hosts after its terminal is gone."""

import argparse
from functools import partial

from deployer.app import steptimes
from deployer.app.fleet import Fleet
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import Listener, finish, follow
from deployer.cli.fleet import open_fleet
from deployer.errors import UsageError
from deployer.execute.attach import Running
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control

EXAMPLES = ("deployer attach", "deployer attach 20260102T101112-a1b2c3", "deployer attach --resume")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", help="which one (default: the only one)")
    parser.add_argument("--resume", action="store_true", help="an apply that somebody paused goes on")
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
        report = follow(partial(_attached, fleet, one, args.resume), as_json=args.json, times=steptimes.read(fleet.root))
        finish(fleet, report, as_json=args.json)
        return report.exit_code


def _attached(fleet: Fleet, one: Running, resume: bool, listen: Listener, control: Control) -> Report:
    def told(event: Event) -> None:
        listen(event)
        if event.type == "pause" and event.state == "paused" and not resume:
            console.say("somebody paused it: deployer attach --resume lets it go on")

    if resume:
        control.resume()
    return fleet.attach(one, told, control)
