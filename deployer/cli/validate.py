"""`deployer validate`: every problem of every file, and whether the lock is behind."""

import argparse
from collections.abc import Sequence

from deployer.app import checking
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import folder
from deployer.errors import LockfileError, Problem, SpecError

EXAMPLES = ("deployer validate", "deployer validate -C fleets/acme", "deployer validate --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.as_json(parser)
    parser.add_argument("--lock", action="store_true", help="deployer.lock must be there and say all the files want")


def run(args: argparse.Namespace) -> int:
    problems: Sequence[Problem] = ()
    summary, code = "", 0
    try:
        loaded = checking.load(folder(args).resolve())
        fleet = loaded.fleet
        summary = (
            f"fleet {fleet.name}: {_count(len(fleet.deployments), 'deployment')}, {_count(len(fleet.hosts), 'host')}, no problems"
        )
        if args.lock:
            from deployer.app.locking import current_lock

            current_lock(loaded)
    except (SpecError, LockfileError) as error:
        code = error.exit_code
        problems = getattr(error, "problems", None) or (Problem(error.where or "deployer.lock", 0, 0, error.what, error.hint),)
    if args.json:
        console.emit({"problems": [_json(problem) for problem in problems]})
    elif problems:
        from deployer.spec.problems import render

        console.out(render(problems))
    else:
        console.out(summary)
    return code


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
