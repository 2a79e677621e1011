"""An error as a panel: what, where, why, and the next step. Nothing else ever tells a person of one."""

from deployer.errors import DeployerError, Problem
from deployer.tui.line import Line, line, paragraphs
from deployer.tui.modals.panel import Reading


def failure(error: DeployerError) -> Reading:
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    lines: list[Line] = []
    if problems:
        for problem in problems:
            lines += _problem(problem)
    else:
        lines.append(line((error.where, "bold") if error.where else "", ": " if error.where else "", error.what))
    if error.hint:
        lines += [(), line(("next  ", "bold"), error.hint)]
    return Reading(error.what if problems else "That did not work", paragraphs(lines), grave=True)


def _problem(problem: Problem) -> list[Line]:
    found = [line((problem.where, "bold"), ": ", problem.message)]
    if problem.text is not None and problem.line:
        number = f"{problem.line:>5} {'|'} "
        found.append(line((number, "dim"), problem.text.rstrip("\n")))
        caret = " " * (len(number) + max(0, problem.column - 1)) + "^" * max(1, problem.width)
        found.append(line((caret, "bad"), f" {problem.hint}" if problem.hint else ""))
    elif problem.hint:
        found.append(line("      ", problem.hint))
    return found
