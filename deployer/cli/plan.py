"""`deployer plan`: what would change, why, and what it costs. Touches nothing."""

import argparse
from pathlib import Path

from deployer.app.planned import Planned
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.cli.planning import keep, make_plan, options, show
from deployer.errors import worst

EXAMPLES = (
    "deployer plan                                       # the whole fleet",
    "deployer plan chat --out chat.plan.json             # one deployment, kept to be applied as it is",
    "deployer plan --format markdown --detailed-exitcode # for a pull request: 2 when something changes",
    "deployer plan --ui                                  # review it change by change in the terminal UI",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser)
    shared.filters(parser)
    shared.planning(parser)
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="how it is shown (default: text)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    parser.add_argument("--out", metavar="FILE", type=Path, help="keep it in this file too (0600, no secret in it)")
    parser.add_argument(
        "--explain",
        metavar="NAME",
        action="append",
        help="show every term of a deployment's GPU memory, and which engine suits it",
    )
    parser.add_argument("--detailed-exitcode", action="store_true", help="0: nothing to change, 2: there are changes")
    parser.add_argument("--ui", action="store_true", help="review it in the terminal UI")


def run(args: argparse.Namespace) -> int:
    if args.ui:
        from deployer.cli import ui

        ui.only_here(args, "format", "out", "explain", "detailed_exitcode")
        return ui.start(args, begin="plan", options=options(args))
    with open_fleet(args) as fleet:
        planned = make_plan(fleet, options(args))
        _print(planned, args.format)
        if args.out is not None:
            planned.save(args.out)
        keep(planned)
        return _code(planned, detailed=args.detailed_exitcode)


def _print(planned: Planned, how: str) -> None:
    if how == "json":
        from deployer.plan.codec import to_json

        console.emit(to_json(planned.plan))
    elif how == "markdown":
        from deployer.plan.markdown import render

        console.out(render(planned.plan))
    else:
        show(planned)


def _code(planned: Planned, *, detailed: bool) -> int:
    plan = planned.plan
    codes = [4 if plan.refusals else 0, 6 if plan.unreachable else 0]
    return worst(codes) or (2 if detailed and not plan.empty else 0)
