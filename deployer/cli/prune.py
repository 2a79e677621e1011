"""`deployer prune`: removes what the hosts have and the files do not."""

import argparse

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.cli import arguments as shared
from deployer.cli.applying import plan_and_carry_out
from deployer.cli.planning import make_plan, options

EXAMPLES = ("deployer prune", "deployer prune --host gpu-01", "deployer prune --yes --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser)
    shared.filters(parser)
    shared.allow(parser)
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    def removals(fleet: Fleet) -> Planned:
        return make_plan(fleet, options(args, prune=True)).only(lambda change: change.after is None)

    return plan_and_carry_out(args, removals, what="prune")
