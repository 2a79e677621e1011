"""`deployer version`."""

import argparse
import platform

from deployer import __version__
from deployer.agent.wire import VERSION
from deployer.cli import arguments as shared
from deployer.cli import console

EXAMPLES = ("deployer version", "deployer version --json", "deployer --version")


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    found = {"version": __version__, "wire": VERSION, "python": platform.python_version()}
    if args.json:
        console.emit(found)
    else:
        console.out(f"deployer {__version__} (Python {found['python']})")
    return 0
