"""`python -m deployer.lab up 3 FLEET`: the lab without the rest of the product. For those who work on deployer itself."""

import argparse
import sys
from pathlib import Path

from deployer.errors import DeployerError
from deployer.lab import lab


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deployer.lab")
    parser.add_argument("verb", choices=["up", "down", "list", "reboot", "cut", "heal", "off", "on", "ssh"])
    parser.add_argument("-C", dest="fleet", type=Path, default=Path())
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("words", nargs="*")
    args, rest = parser.parse_known_args()
    words = [word for word in (*args.words, *rest) if word != "--"]
    try:
        if args.verb == "up":
            lab.up(args.fleet, int(words[0]), gpus=args.gpus, on_progress=lambda m: print(m, file=sys.stderr))  # noqa: T201
        elif args.verb == "down":
            lab.down(args.fleet)
        elif args.verb == "ssh":
            return lab.ssh(args.fleet, words[0], words[1:])
        elif args.verb != "list":
            {"reboot": lab.reboot, "cut": lab.cut, "heal": lab.heal, "off": lab.power_off, "on": lab.power_on}[args.verb](
                args.fleet, words[0]
            )
        for host in lab.list_hosts(args.fleet):
            print(host.name, host.address, "running" if host.running else "off", "" if host.connected else "cut")  # noqa: T201
    except DeployerError as e:
        print(f"{e.where or ''} {e.what}\n{e.hint or ''}", file=sys.stderr)  # noqa: T201
        return e.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
