"""`deployer restart`: a new process for every running replica of a deployment, planned, shown and applied like anything else."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli.applying import plan_and_carry_out

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
    return plan_and_carry_out(args, lambda fleet: fleet.restart(args.names), what="restart")
