"""`deployer hosts cordon`, `drain`, `uncordon`: holds on hosts, planned, shown and applied like anything else."""

import argparse
from typing import TYPE_CHECKING

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import plan_and_carry_out

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.app.planned import Planned

VERBS = {
    "cordon": "nothing new is placed there; nothing moves",
    "drain": "its replicas move where they fit, and no gateway sends there",
    "uncordon": "lift both; what moved away stays where it is",
}


def arguments(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, line in VERBS.items():
        verb = verbs.add_parser(name, help=line)
        verb.add_argument("names", metavar="HOST", nargs="+")
        if name != "uncordon":
            verb.add_argument("--until", metavar="TIME", help="when it ends by itself: 2h, 3d, or ISO 8601")
        shared.approval(verb)
        shared.chdir_again(verb)
        shared.as_json(verb)


def run(args: argparse.Namespace) -> int:
    def done(planned: "Planned") -> None:
        if not args.json:
            console.say(_after(planned.fleet, args))

    return plan_and_carry_out(args, lambda fleet: _planned(fleet, args), what=f"hosts {args.verb}", done=done)


def _planned(fleet: "Fleet", args: argparse.Namespace) -> "Planned":
    if args.verb == "uncordon":
        return fleet.uncordon(args.names)
    hold = fleet.cordon if args.verb == "cordon" else fleet.drain
    return hold(args.names, why=args.why, until=args.until)


def _after(fleet: "Fleet", args: argparse.Namespace) -> str:
    names = ", ".join(args.names)
    if args.verb != "uncordon":
        until = "until then, or" if args.until else "until"
        return f"{names}: {args.verb}ed {until} somebody lifts it: deployer hosts uncordon {' '.join(args.names)}"
    files = [name for name in args.names if name in fleet.spec.hosts and fleet.spec.hosts[name].state != "active"]
    said = "".join(f"; hosts/{name}.yaml still says state: {fleet.spec.hosts[name].state}" for name in files)
    return f"{names}: replicas may be placed there again{said}" if not files else f"{names}: the hold is lifted{said}"
