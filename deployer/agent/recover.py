"""Undoing what a run left that was killed, or that went down with its host. Called by the step `run.undo`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from deployer.agent import paths, runs, systemctl, undo
from deployer.agent.context import Shared, StepFailed
from deployer.agent.system import System


def undo_run(shared: Shared, run_id: str, progress: Callable[..., None]) -> List[str]:
    """Undoes the transactions that had begun and were not finished, last first. Returns what could not be undone."""
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
        if _begun(system, run_id, number, transaction) and not _whole(system, run_id, transaction):
            problems += undo.undo_transaction(shared, STEPS, run_id, number, transaction, tell)
    return problems


def _begun(system: System, run_id: str, number: int, transaction: Dict[str, Any]) -> bool:
    return any(undo.kept(system, run_id, number, index) is not None for index in range(len(transaction["steps"])))


def _whole(system: System, run_id: str, transaction: Dict[str, Any]) -> bool:
    """Every step of it was done: it stands."""
    from deployer.agent import journal

    done = {
        event["step"]
        for event in journal.read(system, run_id)
        if event["type"] == "step" and event.get("tx") == transaction["id"] and event.get("state") == "done"
    }
    return all(step["id"] in done for step in transaction["steps"])
