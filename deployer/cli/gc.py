"""`deployer gc`: forgets revisions beyond `keep`, and removes the artifacts that only they stood on."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli.applying import plan_and_carry_out

EXAMPLES = (
    "deployer gc                  # what hosts remember beyond keep: in deployer.yaml",
    "deployer gc chat --yes",
    "deployer gc --host gpu-01 --json --yes",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser)
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help="only this host")
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    return plan_and_carry_out(args, lambda fleet: fleet.gc(args.names, hosts=args.host), what="gc")
