"""Arguments that commands share, and the parser that says wrong ones with exit code 64."""

import argparse
import difflib
from typing import NoReturn

from deployer.cli.table import COMMANDS, Command


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest option there is."""

    def error(self, message: str) -> NoReturn:
        from deployer.errors import UsageError

        hint = f"{self.prog} --help"
        if message.startswith("unrecognized arguments:"):
            word = message.partition(":")[2].split()[0]
            known = [option for action in self._actions for option in action.option_strings]
            close = difflib.get_close_matches(word.partition("=")[0], known, 1)
            hint = f"did you mean {close[0]}?" if close else hint
        raise UsageError(message, hint=hint)


def parser_for(name: str, module: Command) -> Parser:
    examples = tuple(line for line in module.EXAMPLES if line.split()[1] == name) or module.EXAMPLES
    shown = "\n".join(examples)
    parser = Parser(
        prog=f"deployer {name}",
        usage=None,
        description=f"{COMMANDS[name][1][0].upper()}{COMMANDS[name][1][1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.format_help = lambda: f"{shown}\n\n{argparse.ArgumentParser.format_help(parser)}"  # type: ignore[method-assign]
    parser.set_defaults(command=name)
    chdir(parser)
    module.arguments(parser)
    return parser


def chdir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-C", "--chdir", metavar="DIR", default=".", dest="fleet", help="the fleet's folder (default: this one)")


def names(parser: argparse.ArgumentParser, *, at_least_one: bool = False) -> None:
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+" if at_least_one else "*",
        help=f"deployments{'' if at_least_one else ' (default: all)'}",
    )


def filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="only deployments with this tag")
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help="only this host")


def as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def approval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("-m", "--why", metavar="TEXT", help="why, for the history")
    parser.add_argument(
        "--lock-wait", metavar="TIME", help="while somebody else applies, wait so long for it to end: 30s, 10m (default: exit 7)"
    )


def planning(parser: argparse.ArgumentParser) -> None:
    """What changes a plan: used by plan and apply."""
    parser.add_argument("--prune", action="store_true", help="also remove what is in no file any more")
    parser.add_argument("--release", action="append", default=[], metavar="NAME", help="lift the hold on a deployment or a host")
    parser.add_argument(
        "--replace-lost", action="append", default=[], metavar="HOST", help="give this host up: its replicas move"
    )
    allow(parser)
    parser.add_argument(
        "--allow-divergent", action="store_true", help="although the hosts have a commit that yours does not follow"
    )


def allow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow", action="store_true", help="although more replicas stop than guard.max_stopped says")


def chdir_again(parser: argparse.ArgumentParser) -> None:
    """-C behind the verb of a command too; what was said before it stays when nothing is said here."""
    parser.add_argument("-C", "--chdir", metavar="DIR", default=argparse.SUPPRESS, dest="fleet", help=argparse.SUPPRESS)


def verbs(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """The words behind a command such as `lab`: one is wanted."""
    return parser.add_subparsers(dest="verb", metavar="VERB", required=True)
