"""`deployer lab`: throwaway hosts on this machine, that belong to one fleet."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import folder
from deployer.errors import UsageError

if TYPE_CHECKING:
    from deployer.lab.lab import LabHost

EXAMPLES = (
    "deployer lab up 3                                     # lab-1 … lab-3, and hosts/lab-*.yaml",
    "deployer lab up 2 --gpus 8 --gpu-memory 80GiB         # each with eight imaginary GPUs",
    "deployer lab ssh lab-1 -- systemctl status 'deployer-*'",
    "deployer lab ssh lab-1 -- \"sed -i 's/^cuda .*/cuda 12090/' /etc/deployer-lab/gpus\"",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = shared.verbs(parser)
    up = verbs.add_parser("up", help="boot hosts; those that are there stay")
    up.add_argument("count", metavar="N", type=int)
    up.add_argument("--gpus", type=int, default=0, metavar="K", help="imaginary GPUs in each (default: 0)")
    up.add_argument("--gpu-memory", default="24GiB", metavar="SIZE", help="of each GPU (default: 24GiB)")
    made = [up, verbs.add_parser("down", help="remove them all"), verbs.add_parser("list", help="the hosts of this fleet's lab")]
    shared.as_json(up)
    shared.as_json(made[-1])
    for name, line in (
        ("reboot", "end a host as a power failure would, and boot it again"),
        ("cut", "take a host off the network"),
        ("heal", "put it back on the network"),
        ("ssh", "a look inside: a shell, or the command behind --"),
    ):
        verb = verbs.add_parser(name, help=line)
        verb.add_argument("host", metavar="HOST")
        if name == "ssh":
            verb.add_argument("words", metavar="-- COMMAND", nargs="*")
            verb.add_argument("--user", default="root", help="log in as (default: root)")
        if name == "reboot":
            verb.add_argument("--graceful", action="store_true", help="let systemd stop everything first")
        made.append(verb)
    for verb in made:
        shared.chdir_again(verb)


def run(args: argparse.Namespace) -> int:
    from deployer.lab import lab

    root = folder(args)
    if args.verb == "up":
        hosts = lab.up(root, args.count, gpus=args.gpus, gpu_memory=_bytes(args.gpu_memory), on_progress=console.say)
        _list(hosts, args)
        if not args.json:
            console.say("hosts/lab-*.yaml are written. Next: deployer plan; at the end: deployer lab down")
        return 0
    if args.verb == "list":
        _list(lab.list_hosts(root), args)
    elif args.verb == "down":
        if not lab.down(root, on_progress=console.say):
            console.say("this fleet has no lab")
    elif args.verb == "ssh":
        return lab.ssh(root, args.host, _command([*args.words, *args.after]), user=args.user)
    else:
        return _one(root, args)
    return 0


def _command(words: list[str]) -> list[str]:
    """One word with blanks in it is a line for the host's shell, as ssh takes it."""
    return ["sh", "-c", words[0]] if len(words) == 1 and " " in words[0] else words


def _one(root: Path, args: argparse.Namespace) -> int:
    from deployer.lab import lab

    if args.verb == "reboot":
        lab.reboot(root, args.host, graceful=args.graceful)
    elif args.verb == "cut":
        lab.cut(root, args.host)
    else:
        lab.heal(root, args.host)
    said = {"reboot": "has booted again", "cut": "is off the network", "heal": "is on the network again"}
    console.say(f"{args.host} {said[args.verb]}")
    return 0


def _list(found: "Sequence[LabHost]", args: argparse.Namespace) -> None:
    if args.json:
        rows = [
            {"name": h.name, "address": h.address, "user": h.user, "gpus": h.gpus, "running": h.running, "connected": h.connected}
            for h in found
        ]
        console.emit({"hosts": rows})
    elif not found:
        console.out("this fleet has no lab: deployer lab up 1")
    else:
        shown = [(h.name, h.address, h.user, str(h.gpus), _state(h)) for h in found]
        console.out(console.table([("HOST", "ADDRESS", "USER", "GPUS", "STATE"), *shown]))


def _state(host: "LabHost") -> str:
    if not host.running:
        return "off"
    return "running" if host.connected else "off the network"


def _bytes(text: str) -> int:
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
    number, unit = text[:-3], text[-3:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise UsageError(f"{text} is no size", hint="as 24GiB or 512MiB")
    return int(float(number) * units[unit])
