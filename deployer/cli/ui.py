"""`deployer ui`: the terminal UI."""

import argparse

from deployer.app.fleet import Fleet
from deployer.app.passwords import Passwords
from deployer.cli import console
from deployer.cli.fleet import folder
from deployer.errors import UsageError

EXAMPLES = ("deployer ui", "deployer ui --read-only -C ~/fleets/acme", "deployer ui --ascii")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="look only: nothing can be begun or written")
    parser.add_argument("--ascii", action="store_true", help="no signs beyond ASCII")


def run(args: argparse.Namespace) -> int:
    return start(args, read_only=args.read_only, ascii_only=args.ascii)


def start(args: argparse.Namespace, **more: object) -> int:
    """The terminal UI over the fleet that `args` names. Raises UsageError where nobody can look at it."""
    if not console.interactive():
        raise UsageError(
            "the terminal UI needs a terminal", hint="deployer status, deployer plan and --json say the same as text"
        )
    try:
        from deployer.tui.run import run as run_ui
    except ModuleNotFoundError as error:
        if error.name != "textual":
            raise
        raise UsageError("the terminal UI needs Textual, which is not installed", hint="pip install 'deployer[tui]'") from None
    path = folder(args)

    def opened(passwords: Passwords) -> Fleet:
        return Fleet.load(path, passwords=passwords)

    return run_ui(opened, **more)  # type: ignore[arg-type]
