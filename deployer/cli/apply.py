"""`deployer apply`: does a plan: a saved one exactly as it is, or one that is made, shown and approved now."""

import argparse
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.cli import arguments as shared
from deployer.cli import canary, console
from deployer.cli.applying import plan_and_carry_out
from deployer.cli.planning import make_plan, options
from deployer.errors import UsageError

EXAMPLES = (
    "deployer apply                                  # plan, show, ask, do",
    "deployer apply .deployer/plans/9e3b1f2.json     # exactly that plan",
    "deployer apply chat --yes --why 'longer context'",
    "deployer apply --yes --lock-wait 10m            # in CI, where another apply may be under way",
    "deployer apply --ui                             # review it change by change, then watch it",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="PLAN.json | NAME", nargs="*", help="a saved plan, or deployments (default: all)")
    shared.filters(parser)
    shared.planning(parser)
    shared.approval(parser)
    shared.as_json(parser)
    parser.add_argument("--ui", action="store_true", help="review and do it in the terminal UI")


def run(args: argparse.Namespace) -> int:
    saved = [name for name in args.names if name.endswith(".json") or "/" in name]
    if saved and len(args.names) > 1:
        raise UsageError("a saved plan is applied as it is, alone", hint="deployer apply PLAN.json, or deployer apply NAME…")
    if args.ui:
        return _in_ui(args, saved)

    def planned(fleet: Fleet) -> Planned:
        return _saved(fleet, args, saved[0]) if saved else make_plan(fleet, options(args))

    return plan_and_carry_out(args, planned, what="apply", wait=not saved, done=canary.stands)


def _in_ui(args: argparse.Namespace, saved: list[str]) -> int:
    from deployer.cli import ui

    ui.only_here(args, "json", "yes", "lock_wait")
    if saved:
        return ui.start(args, begin="plan", planned=lambda fleet: _saved(fleet, args, saved[0]), why=args.why)
    return ui.start(args, begin="plan", options=options(args), why=args.why)


def _saved(fleet: Fleet, args: argparse.Namespace, name: str) -> Planned:
    given = [
        option
        for option in ("tag", "host", "release", "replace_lost", "prune", "allow", "allow_divergent")
        if getattr(args, option)
    ]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{option} cannot change a saved plan", hint=f"deployer plan {option} … makes another one")
    path = Path(name)
    if not path.exists() and not path.is_absolute() and (fleet.root / path).exists():
        path = fleet.root / path
    planned = fleet.saved_plan(path)
    if not args.json and not args.ui:
        console.say(f"doing exactly {path.name}, made before; nothing is planned again")
    return planned
