"""`deployer adopt`: a hand-made systemd unit that serves a model, as a file of the fleet. Touches nothing on the host."""

import argparse

from deployer.app import adopting
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet

EXAMPLES = (
    "deployer adopt gpu-01 vllm.service              # writes deployments/vllm.yaml, says what it did not understand",
    "deployer adopt gpu-01 llama --name chat",
    "deployer adopt gpu-01 llama --print             # only shows the file",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("unit", metavar="UNIT", help="the systemd unit, with or without .service")
    parser.add_argument("--name", metavar="NAME", help="of the deployment (default: the unit's)")
    parser.add_argument("--print", action="store_true", dest="only", help="show the file and write nothing")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
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
            f"{found.unit} still runs and is left alone. Once {found.name} answers, on {found.host}: "
            f"systemctl disable --now {found.unit}   (where both do not fit beside each other: before deployer apply)"
        )
    return 0
