"""`deployer prune`: removes what the hosts have and the files do not."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli.applying import carry_out, ends_with_report, wait_for_others
from deployer.cli.fleet import open_fleet
from deployer.cli.planning import make_plan, options, show

EXAMPLES = ("deployer prune", "deployer prune --host gpu-01", "deployer prune --yes --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser)
    shared.filters(parser)
    shared.allow(parser)
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with ends_with_report(args.json), open_fleet(args) as fleet:
        wait_for_others(fleet, args)
        planned = make_plan(fleet, options(args, prune=True))
        removals = planned.only(lambda change: change.after is None)
        if not args.json:
            show(removals)
        return carry_out(removals, args, what="prune")
