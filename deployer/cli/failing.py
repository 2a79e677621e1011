"""Errors as a person reads them: what, where, why, what next. Called by main when a command ends with one."""

import sys

from deployer.cli.console import paint, say, unicode
from deployer.errors import DeployerError, Problem


def show(error: DeployerError) -> None:
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    if problems:
        from deployer.spec.problems import render

        say(render(problems))
        return
    mark = "✗" if unicode(sys.stderr) else "x"
    where = f"{error.where}: " if error.where else ""
    say(f"{paint(mark, '31', sys.stderr)} {where}{error.what}")
    if error.hint:
        say(f"    {error.hint}")


def unexpected(error: BaseException) -> None:
    """A fault of ours is shown without its traceback."""
    from deployer.app import faults

    show(faults.unexpected(error))
