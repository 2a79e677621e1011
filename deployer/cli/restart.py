"""`deployer restart`: a new process for every running replica of a deployment, planned, shown and applied like anything else."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli.applying import carry_out, ends_with_report, wait_for_others
from deployer.cli.fleet import open_fleet
from deployer.cli.planning import show

EXAMPLES = (
    "deployer restart chat",
    "deployer restart chat embed --yes --why 'memory grows'",
    "deployer restart chat --json --yes",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser, at_least_one=True)
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with ends_with_report(args.json), open_fleet(args) as fleet:
        wait_for_others(fleet, args)
        planned = fleet.restart(args.names)
        if not args.json:
            show(planned)
        return carry_out(planned, args, what=args.command)
