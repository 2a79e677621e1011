"""`deployer adopt`: a hand-made systemd unit as a file of the fleet; then a deployment takes over from it."""

import argparse

from deployer.app import adopting
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.applying import plan_and_carry_out
from deployer.cli.fleet import open_fleet

EXAMPLES = (
    "deployer adopt gpu-01 vllm.service              # writes deployments/vllm.yaml, says what it did not understand",
    "deployer adopt gpu-01 llama --name chat",
    "deployer adopt gpu-01 llama --print             # only shows the file",
    "deployer adopt gpu-01 llama --take-over chat    # then: apply chat, and stop theirs once ours answers",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("unit", metavar="UNIT", help="the systemd unit, with or without .service")
    parser.add_argument("--name", metavar="NAME", help="of the deployment (default: the unit's)")
    parser.add_argument("--print", action="store_true", dest="only", help="show the file and write nothing")
    parser.add_argument("--take-over", metavar="NAME", help="apply this deployment, then stop and disable the unit")
    shared.approval(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.take_over:
        return plan_and_carry_out(args, lambda fleet: fleet.take_over(args.take_over, args.host, args.unit), what="adopt")
    return _write(args)


def _write(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        found = fleet.adopt(args.host, args.unit, args.name)
        if not args.only:
            adopting.write(fleet, found)
    if args.json:
        console.emit(found.json())
        return 0
    console.out(found.text)
    for problem in found.problems:
        console.say(f"{problem.file}:{problem.line}: {problem.message}")
    if args.only:
        return 0
    console.say(f"written: {found.file}   look at what stands behind # there")
    console.say(f"next: deployer lock && deployer plan {found.name}")
    if found.active:
        console.say(
            f"{found.unit} still runs and is left alone until: deployer adopt {found.host} {found.unit} --take-over {found.name}"
        )
    return 0
