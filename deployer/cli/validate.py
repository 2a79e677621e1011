"""`deployer validate`: every problem of every file, the policies, and whether the lock is behind."""

import argparse
from collections.abc import Sequence

from deployer.app import checking
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import folder
from deployer.errors import LockfileError, Problem, SpecError
from deployer.plan.policies import Broken

EXAMPLES = ("deployer validate", "deployer validate -C fleets/acme", "deployer validate --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.as_json(parser)
    parser.add_argument("--lock", action="store_true", help="deployer.lock must be there and say all the files want")


def run(args: argparse.Namespace) -> int:
    problems: Sequence[Problem] = ()
    summary, code = "", 0
    judged: tuple[Broken, ...] = ()
    waiting: tuple[str, ...] = ()
    try:
        loaded = checking.load(folder(args).resolve())
        checking.check_models(loaded)
        fleet = loaded.fleet
        summary = (
            f"fleet {fleet.name}: {_count(len(fleet.deployments), 'deployment')}, {_count(len(fleet.hosts), 'host')}, no problems"
        )
        judged, waiting = checking.policies(loaded)
        code = 4 if any(one.policy.level == "deny" for one in judged) else 0
        if args.lock:
            from deployer.app.locking import current_lock

            current_lock(loaded)
    except (SpecError, LockfileError) as error:
        code = error.exit_code
        problems = getattr(error, "problems", None) or (Problem(error.where or "deployer.lock", 0, 0, error.what, error.hint),)
    if args.json:
        said = {"policies": [one.json() for one in judged], "waiting": list(waiting)} if judged or waiting else {}
        console.emit({"problems": [_json(problem) for problem in problems], **said})
    elif problems:
        from deployer.spec.problems import render

        console.out(render(problems))
    else:
        console.out("\n".join([*_judged(judged), summary, *_waiting(waiting)]))
    return code


def _judged(found: Sequence[Broken]) -> list[str]:
    """What is denied, then what is only said."""
    from deployer.plan.policies import notices, refusals
    from deployer.plan.text import Style, refusal_text

    if not found:
        return []
    style = Style(console.color(), console.unicode())
    lines = [refusal_text(one, style) for one in refusals(found)]
    for notice in notices(found):
        lines.append("\n".join([f"{style.symbol('dot')} {notice.what}", *(f"    {p}" for p in (notice.hint or "").splitlines())]))
    return [*lines, ""]


def _waiting(names: Sequence[str]) -> list[str]:
    return [f"only a plan can judge: {', '.join(names)}"] if names else []


def _json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
