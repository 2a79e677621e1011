"""A shell on a host, in the terminal that is ours: the application steps aside until it ends."""

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from deployer.app.shell import shell_command
from deployer.errors import DeployerError, UsageError
from deployer.tui.line import plain_text

if TYPE_CHECKING:
    from deployer.tui.app import DeployerApp

#: How ssh ends when it did not get through; a command's own end is below.
NO_CONNECTION = 255


def possible(app: "DeployerApp") -> bool:
    """Not where nothing may be changed, and not in a browser, which has no terminal to lend."""
    return not app.session.read_only and not app.is_web


def open_shell(app: "DeployerApp", host: str) -> None:
    """What goes wrong is a panel."""
    try:
        argv = shell_command(app.session.fleet, host)
        code = _suspended(app, argv)
    except DeployerError as error:
        app.wrong(error)
    except FileNotFoundError:
        app.wrong(UsageError(f"there is no {argv[0]} on this machine", hint="install OpenSSH's client"))
    except SuspendNotSupported:
        app.wrong(UsageError("this terminal cannot be lent to a shell", hint=shlex.join(argv)))
    else:
        if code == NO_CONNECTION:
            app.wrong(UsageError("ssh did not get through", where=host, hint=f"by hand: {shlex.join(argv)}"))


def _suspended(app: "DeployerApp", argv: list[str]) -> int:
    with app.suspend():
        sys.stdout.write(f"$ {plain_text(shlex.join(argv))}\n")
        sys.stdout.flush()
        return subprocess.run(argv, check=False).returncode
