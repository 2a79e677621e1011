"""`deployer doctor`: what would go wrong on the hosts, and what to do about it. Touches nothing."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.errors import worst

EXAMPLES = (
    "deployer doctor                  # every host: driver, disk, memory, clock, … and whether it reaches hub and index",
    "deployer doctor gpu-01",
    "deployer doctor --quick --json   # without asking the hub or an index from the hosts",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="HOST", nargs="*", help="hosts (default: all)")
    parser.add_argument("--quick", action="store_true", help="only what a plan sees too: no host asks the hub or an index")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        from deployer.app.doctor import as_json, examine

        if console.interactive():
            console.say("asking the hosts" + (" …" if args.quick else ", and from them the hub and the index …"))
        found = examine(fleet, args.names, quick=args.quick)
        if args.json:
            console.emit(as_json(found))
        else:
            from deployer.cli.doctortext import text

            console.out(text(found, fleet.name, color=console.color(), unicode=console.unicode()))
        return worst([4 if found.refused else 0, 6 if found.unreachable else 0, 0 if found.locked else 3])
