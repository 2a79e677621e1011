"""`deployer gc`: forgets revisions beyond `keep`, and removes the artifacts that only they stood on."""

import argparse

from deployer.cli import arguments as shared
from deployer.cli.applying import carry_out, ends_with_report
from deployer.cli.fleet import open_fleet
from deployer.cli.planning import show

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
    with ends_with_report(args.json), open_fleet(args) as fleet:
        planned = fleet.gc(args.names, hosts=args.host)
        if not args.json:
            show(planned)
        return carry_out(planned, args, what="gc")
