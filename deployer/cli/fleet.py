"""Opens the fleet that a command is about, and finds which deployments it names."""

import argparse
from collections.abc import Callable
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.app.passwords import Passwords
from deployer.cli import console
from deployer.errors import UsageError


def open_fleet(args: argparse.Namespace) -> Fleet:
    """Raises SpecError with every problem of every file."""
    fleet = Fleet.load(folder(args), passwords=Passwords(_asker()))
    if console.interactive():
        fleet.narrate = console.say
    return fleet


def folder(args: argparse.Namespace) -> Path:
    path = Path(args.fleet)
    if not path.is_dir():
        raise UsageError(f"there is no folder {args.fleet}", hint="-C DIR names the fleet's folder")
    return path


def _asker() -> Callable[[str], str] | None:
    if not console.interactive():
        return None
    import getpass

    return getpass.getpass
