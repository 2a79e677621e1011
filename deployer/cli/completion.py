"""`deployer completion SHELL` (and `deployer --print-completion SHELL`): completion for bash, zsh, tcsh."""

import argparse

from deployer.cli import console
from deployer.cli.table import COMMANDS, find

EXAMPLES = (
    "deployer completion bash > ~/.local/share/bash-completion/completions/deployer",
    "deployer completion zsh > ~/.zfunc/_deployer",
    "deployer --print-completion tcsh",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def run(args: argparse.Namespace) -> int:
    import shtab  # late: nobody else needs it

    from deployer.cli.arguments import chdir

    parser = argparse.ArgumentParser(prog="deployer", description="Declarative deployment of self-hosted models.")
    commands = parser.add_subparsers(dest="command")
    for name, (_, line) in COMMANDS.items():
        child = commands.add_parser(name, help=line, description=line)
        chdir(child)
        find(name).arguments(child)
    console.out(shtab.complete(parser, shell=args.shell))
    return 0
