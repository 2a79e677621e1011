"""`deployer ui`, and the `--ui` of plan and apply: the terminal UI."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.app.passwords import Passwords
from deployer.app.planned import Planned
from deployer.cli import console
from deployer.cli.fleet import folder
from deployer.errors import UsageError
from deployer.plan.world import Options

EXAMPLES = ("deployer ui", "deployer ui --read-only -C ~/fleets/acme", "deployer ui --web")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="look only: nothing can be begun or written")
    parser.add_argument("--ascii", action="store_true", help="no signs beyond ASCII")
    parser.add_argument("--theme", metavar="NAME", help="dark, light, terminal, colour-blind, high-contrast, …")
    parser.add_argument(
        "--no-mouse", action="store_true", help="leave the mouse to the terminal: it selects and copies as always"
    )
    parser.add_argument("--web", action="store_true", help="in a browser of this machine, read-only")
    parser.add_argument("--port", metavar="PORT", type=int, help="of --web (default: a free one)")


def run(args: argparse.Namespace) -> int:
    if args.port is not None and not args.web:
        raise UsageError("--port belongs to --web", hint="deployer ui --web --port 8000")
    if args.web:
        return _serve(args)
    return start(args, read_only=args.read_only, look=_look(args))


def _look(args: argparse.Namespace) -> dict[str, object]:
    """What the command line says about looks; ui.yaml says the rest."""
    found: dict[str, object] = {}
    if args.theme is not None:
        found["theme"] = args.theme
    if args.ascii or not console.unicode():
        found["ascii"] = True
    if args.no_mouse:
        found["mouse"] = False
    return found


def start(
    args: argparse.Namespace,
    *,
    begin: str = "fleet",
    options: Options | None = None,
    planned: Callable[[Fleet], Planned] | None = None,
    why: str | None = None,
    read_only: bool = False,
    look: dict[str, object] | None = None,
) -> int:
    """The terminal UI over the fleet that `args` names. Raises UsageError where nobody can look at it."""
    path = folder(args)
    if not console.interactive() and not (read_only and in_browser()):
        raise UsageError(
            "the terminal UI needs a terminal", hint="deployer status, deployer plan and --json say the same as text"
        )
    if os.environ.get("TERM") == "dumb":
        raise UsageError("this terminal cannot place a cursor (TERM=dumb)", hint="deployer status and deployer plan say the same")
    run_ui = loaded()

    def opened(passwords: Passwords) -> Fleet:
        return Fleet.load(path, passwords=passwords)

    return run_ui(opened, begin=begin, options=options, planned=planned, why=why, read_only=read_only, look=look)


def in_browser() -> bool:
    """Whether `--web` started us: what is drawn goes through a pipe to the browser."""
    return "WebDriver" in os.environ.get("TEXTUAL_DRIVER", "")


def loaded() -> Callable[..., int]:
    try:
        from deployer.tui.run import run as run_ui
    except ModuleNotFoundError as error:
        if error.name != "textual":
            raise
        raise UsageError("the terminal UI needs Textual, which is not installed", hint="pip install 'deployer[tui]'") from None
    return run_ui


def only_here(args: argparse.Namespace, *others: str) -> None:
    """Raises UsageError for an option that says how text is shown: there is none beside the terminal UI."""
    for name in others:
        if getattr(args, name) not in (None, False, "text"):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"--ui and {option} exclude each other", hint=f"leave one of them out: {option} is for text")


def _serve(args: argparse.Namespace) -> int:
    path = Path(folder(args)).resolve()
    loaded()
    try:
        from deployer.tui.web import serve
    except ModuleNotFoundError as error:
        if error.name not in ("textual_serve", "aiohttp"):
            raise
        raise UsageError("--web needs textual-serve, which is not installed", hint="pip install 'deployer[web]'") from None
    Fleet.load(path).close()  # what is wrong in the files is said here, not in the browser
    words = ["ui", "--read-only", "-C", str(path)]
    words += ["--ascii"] if args.ascii else []
    words += ["--theme", args.theme] if args.theme else []
    return serve(words, args.port, console.say)
