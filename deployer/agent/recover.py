"""Undoing what a run left that was killed, or that went down with its host. Called by the step `run.undo`.

A transaction whose record is written is not undone: the record says what was applied, and the plan that undoes the run was made
on it. What it had left to tidy up is done instead.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Callable, Dict, List, Optional

from deployer.agent import files, paths, runs, systemctl, undo
from deployer.agent.context import Context, Shared, StepFailed
from deployer.agent.system import System


def undo_run(shared: Shared, run_id: str, progress: Callable[..., None]) -> List[str]:
    """Undoes the transactions that had begun and were not finished, last first; one that is recorded is finished. Returns
    what could not be undone.
    """
    from deployer.agent.steps import STEPS

    system = shared.system
    if systemctl.alive(system, [paths.run_unit(run_id)]):
        raise StepFailed("the run %s is still alive" % run_id)
    request = runs.request(system, run_id) or {}
    problems: List[str] = []

    def tell(transaction: Dict[str, Any], step: Dict[str, Any], state: str, **fields: Any) -> None:
        label = str(step.get("label") or step["kind"])
        if state == "progress":
            progress(**dict(fields["data"], phase="%s: %s" % (label, fields["data"].get("phase", ""))))
        else:
            progress(phase="%s: %s" % (state, fields.get("message") or label))

    numbered = list(enumerate(request.get("transactions", [])))
    for number, transaction in reversed(numbered):
        if not _begun(system, run_id, number, transaction) or _whole(system, run_id, transaction):
            continue
        recorded = _recorded(shared, run_id, number, transaction)
        if recorded is not None:
            problems += _finish(shared, transaction, recorded + 1, tell)
        else:
            problems += undo.undo_transaction(shared, STEPS, run_id, number, transaction, tell)
    return problems


def _begun(system: System, run_id: str, number: int, transaction: Dict[str, Any]) -> bool:
    return any(undo.kept(system, run_id, number, index) is not None for index in range(len(transaction["steps"])))


def _whole(system: System, run_id: str, transaction: Dict[str, Any]) -> bool:
    """Every step of it was done, and none undone since: it stands."""
    from deployer.agent import journal

    last = {
        event["step"]: event.get("state")
        for event in journal.read(system, run_id)
        if event["type"] == "step" and event.get("tx") == transaction["id"] and event.get("state") != "progress"
    }
    return all(last.get(step["id"]) == "done" for step in transaction["steps"])


def _recorded(shared: Shared, run_id: str, number: int, transaction: Dict[str, Any]) -> Optional[int]:
    """Which step of it has written its record, asked of the host: the run may have ended before it could say so."""
    for index, step in enumerate(transaction["steps"]):
        if step["kind"] != "record" or undo.kept(shared.system, run_id, number, index) is None:
            continue
        path = paths.deployment(shared.fleet, str(step["args"]["deployment"])) + "/current.json"
        if step["args"].get("record") is None:
            if not os.path.exists(shared.system.path(path)):
                return index
        elif (files.read_json(shared.system, path) or {}).get("run") == run_id:
            return index
    return None


def _progress(tell: Callable[..., None], transaction: Dict[str, Any], step: Dict[str, Any], data: Dict[str, Any]) -> None:
    tell(transaction, step, "progress", data=data)


def _finish(shared: Shared, transaction: Dict[str, Any], first: int, tell: Callable[..., None]) -> List[str]:
    """The steps after the record, which only tidy up."""
    from deployer.agent.steps import STEPS

    problems: List[str] = []
    for step in transaction["steps"][first:]:
        kind = STEPS[step["kind"]]
        ctx = Context(shared, transaction, step, partial(_progress, tell, transaction, step))
        try:
            before = kind.check(ctx)
            if not before.get("already"):
                kind.do(ctx, before)
        except Exception as error:  # noqa: BLE001  (one that cannot be done must not keep the others from it)
            problems.append("%s: %s" % (step.get("label") or step["kind"], undo.describe(shared.system, error)))
        else:
            tell(transaction, step, "done")
    return problems
