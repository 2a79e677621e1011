"""Every error a person can meet, and the exit code each one means.

    DeployerError                 1   unexpected, or a step failed and was not undone
    ├── SpecError                 3   the files are wrong (carries every problem, not the first)
    ├── LockfileError             3   deployer.lock is missing, behind the files, or cannot be made
    ├── Refused                   4   a guard says no; nothing was changed
    ├── RolledBack                5   it failed and the old version serves again
    ├── Unreachable               6   a host did not answer
    │   └── HostKeyError          6   it answered with a key that is not the pinned one
    ├── HostLocked                7   somebody else is applying there
    ├── StalePlan                 8   the world moved since the plan was made
    ├── UsageError               64   the command line is wrong
    └── Interrupted             130   stopped at a step boundary

An error says where, what, and the next thing to do. `worst` folds several exit codes into one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from deployer.agent.plain import plain


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file of the fleet. Lines and columns count from 1; 0 means "the file as a whole"."""

    file: str
    line: int
    column: int
    message: str
    hint: str | None = None
    text: str | None = None  # the line itself, for the caret
    width: int = 1  # how many columns the caret underlines

    @property
    def where(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


class DeployerError(Exception):
    """The root. `where` is a file:line, a host or a deployment; `hint` is the next thing to do. All of it may quote a host, a
    hub, git or a file, and is made plain here: nothing in it can tell a terminal anything.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = plain(what)
        super().__init__(self.what)
        self.where = None if where is None else plain(where)
        self.hint = None if hint is None else plain(hint)


class SpecError(DeployerError):
    """The fleet's files are wrong. Holds all problems of all files."""

    exit_code = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        files = len({p.file for p in self.problems})
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' * (count != 1)} in {files} file{'s' * (files != 1)}")


class LockfileError(DeployerError):
    exit_code = 3


class Refused(DeployerError):
    exit_code = 4


class RolledBack(DeployerError):
    exit_code = 5


class Unreachable(DeployerError):
    """`kind`: "timeout" | "refused" | "key" | "auth" | "sudo" | "agent", as in state.observed.Unreached."""

    exit_code = 6

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None, kind: str = "timeout") -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind


class HostKeyError(Unreachable):
    exit_code = 6

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, where=where, hint=hint, kind="key")


class HostLocked(DeployerError):
    exit_code = 7


class StalePlan(DeployerError):
    exit_code = 8


class UsageError(DeployerError):
    exit_code = 64


class Interrupted(DeployerError):
    exit_code = 130


_SEVERITY = (130, 64, 3, 1, 5, 8, 7, 6, 4, 2)


def worst(codes: Iterable[int]) -> int:
    """The exit code that wins when several things happened: 1, 5, 8, 7, 6, 4, in that order; 0 when there is none."""
    found = {code for code in codes if code}
    for code in _SEVERITY:
        if code in found:
            return code
    return max(found, default=0)
