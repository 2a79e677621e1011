"""What a run keeps so that its steps can be undone, and the undoing: by the run itself, or by a later one after a crash.

Kept below runs/<run>/undo, mode 0600: a previous file may be a credential. Gone once the run has ended well.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from deployer.agent import files, paths, systemctl
from deployer.agent.context import Context, Shared, StepFailed, os_failure
from deployer.agent.steps.base import Before, Step
from deployer.agent.system import Silent, System, TooLong

Tell = Callable[..., None]


def _path(run_id: str, tx: int, step: int) -> str:
    return "%s/undo/%03d.%03d.json" % (paths.run(run_id), tx, step)


def keep(system: System, run_id: str, tx: int, step: int, before: Before) -> None:
    files.make_directories(system, paths.run(run_id) + "/undo", 0o700)
    files.write_json(system, _path(run_id, tx, step), before, 0o600)


def kept(system: System, run_id: str, tx: int, step: int) -> Optional[Before]:
    """None: the step was never begun."""
    found = files.read_json(system, _path(run_id, tx, step))
    return found if isinstance(found, dict) else None


def drop(system: System, run_id: str, tx: int, step: int) -> None:
    files.remove(system, _path(run_id, tx, step))


def undo_transaction(
    shared: Shared, steps: Dict[str, Step], run_id: str, number: int, transaction: Dict[str, Any], tell: Tell
) -> List[str]:
    """Undoes the begun steps of a transaction in reverse: first what puts files back and stops what is new, then what needs
    the old files (see Step.after_files). Goes on after a problem; returns all of them.
    """
    problems: List[str] = []
    for late in (False, True):
        if late:
            problems += _tell_systemd(shared)
        for index in range(len(transaction["steps"]) - 1, -1, -1):
            step = transaction["steps"][index]
            before, kind = kept(shared.system, run_id, number, index), steps.get(step["kind"], Step())
            if before is None or kind.late(step.get("args") or {}) != late:
                continue
            problem = None if before.get("already") else _undo_step(shared, steps, transaction, step, before, tell)
            if problem is None:
                drop(shared.system, run_id, number, index)
            else:
                problems.append(problem)
    return problems


def _tell_systemd(shared: Shared) -> List[str]:
    """That unit files came back."""
    if not shared.units_changed:
        return []
    shared.units_changed = False
    try:
        systemctl.call(shared.system, "daemon-reload")
    except Exception as error:  # noqa: BLE001
        return [describe(shared.system, error)]
    return []


def _undo_step(
    shared: Shared, steps: Dict[str, Step], transaction: Dict[str, Any], step: Dict[str, Any], before: Before, tell: Tell
) -> Optional[str]:
    ctx = Context(shared, transaction, step, lambda data: tell(transaction, step, "progress", data=data))
    ctx.undoing = True
    try:
        steps[step["kind"]].undo(ctx, before)
    except Exception as error:  # noqa: BLE001  (one that cannot be undone must not keep the others from it)
        problem = "%s: %s" % (step.get("label") or step["kind"], describe(shared.system, error))
        tell(transaction, step, "undo-failed", message=problem)
        return problem
    tell(transaction, step, "undone")
    return None


def describe(system: System, error: BaseException) -> str:
    return failure(system, error).message


def failure(system: System, error: BaseException) -> StepFailed:
    """Any error as something a person can be told. The text of an unexpected one is left out: it may hold a secret."""
    if isinstance(error, StepFailed):
        return error
    if isinstance(error, OSError):
        return os_failure(system, error)
    if isinstance(error, paths.Refusal):
        return StepFailed(str(error))
    if isinstance(error, Silent):
        return StepFailed(str(error), hint=error.hint)
    if isinstance(error, TooLong):
        return StepFailed(str(error), log=error.log)
    if isinstance(error, KeyError):
        return StepFailed("the plan does not say %s" % error)
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return StepFailed("unexpected %s in %s:%s" % (type(error).__name__, frame.filename.rpartition("/")[2], frame.lineno))
