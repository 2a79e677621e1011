"""Why a verb did not begin, in words: from the exit status and what sudo, the shell or Python said. Used by the bootstrap."""

import re

from deployer.agent.plain import plain
from deployer.errors import Unreachable
from deployer.transport.verb import Exec

_MISSING = r"(command not found|not found|No such file or directory|Unknown command)"


def explain(host: str, user: str, running: Exec, out: bytes, err: bytes) -> Unreachable:
    """The error of a verb that ended before its first word. Never holds what was sent, only what was said."""
    said = plain(err.decode(errors="replace") + "\n" + out.decode(errors="replace"))
    if running.lost():
        return Unreachable("the connection was lost", where=host, kind="timeout")
    status = running.status()
    if found := _sudo(said, user) or _python(said):
        kind, what, hint = found
        return Unreachable(what, where=host, hint=hint, kind=kind)
    last = next((line.strip()[:300] for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    return Unreachable(f"the agent did not start (exit status {status}): {last}", where=host, kind="agent")


def _sudo(said: str, user: str) -> tuple[str, str, str] | None:
    if re.search(r"not in the sudoers file|is not allowed to|may not run sudo|incident has been reported", said):
        return "sudo", f"{user} has no right to use sudo", f"add {user} to sudoers on the host, or log in as another `user:`"
    if re.search(r"sudo.*must have a tty|terminal is required", said):
        return "sudo", "sudo wants a terminal (requiretty)", f"put `Defaults:{user} !requiretty` into sudoers on the host"
    if re.search(r"sudo: .*password (is required|was provided)|incorrect password", said):
        return "sudo", f"sudo refuses the password of {user}", "see the password, or give the user NOPASSWD"
    if re.search(r"(?<!/)\bsudo['’]?:? " + _MISSING + "|Unknown command:? '?sudo", said):
        return "sudo", "sudo is not installed", "install it on the host, or log in as root"
    return None


def _python(said: str) -> tuple[str, str, str] | None:
    if re.search(r"python3['’]?:? " + _MISSING + "|Unknown command:? '?python3", said):
        return "agent", "python3 is not installed", "install Python 3.9 or newer on the host (Debian: apt-get install python3)"
    return None
