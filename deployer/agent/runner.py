"""The transactions of a run, stage by stage: every stage waits for its barrier, every failure is undone. Called by work."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Sequence

from deployer.agent import files, paths, runs, undo, wire
from deployer.agent.context import Context, Shared, StepFailed, Stopped
from deployer.agent.journal import Journal
from deployer.agent.lock import HostLock
from deployer.agent.steps.base import Step
from deployer.agent.transactions import Transaction

POLL_S = 0.03


class Runner:
    """One run. `run` gives the result word and leaves every transaction with its state."""

    def __init__(self, shared: Shared, journal: Journal, steps: Dict[str, Step], lock: Optional[HostLock] = None) -> None:
        self._shared = shared
        self._journal = journal
        self._steps = steps
        self._lock = lock
        self.transactions = [Transaction(number, data) for number, data in enumerate(shared.request.get("transactions") or [])]
        self._by_id = {tx.id: tx for tx in self.transactions}
        self._left_out = False  # something was not begun, since nobody said that it may be

    def run(self) -> str:
        """A report's result."""
        try:
            stages = self._stages()
            for number, stage in enumerate(stages):
                if number and not self._has_work(stages[number:]):
                    break
                silence = self._barrier(stage)
                if silence == "finish":
                    self._ask_endpoints(stage)
                elif silence is not None:
                    return self._silent(stage, silence)
                self._halt(stage)
                for tx in self.transactions:
                    self._stage_of(tx, stage)
        except Stopped:
            self._undo_unfinished("the run was stopped")
            return "stopped"
        for tx in self.transactions:
            tx.finish()
        states = {tx.state for tx in self.transactions}
        if "undo-failed" in states:
            return "failed"
        if "undone" in states:
            return "rolled-back"
        return "stopped" if self._left_out else "done"

    def _stages(self) -> List[str]:
        """Those that this run has something to do in, in order; the first always, where all hosts wait for each other."""
        wanted = {str(step["stage"]) for tx in self.transactions for step in tx.steps}
        return sorted(wanted | {wire.STAGES[0]}, key=wire.stage_rank)

    def _halt(self, stage: str) -> None:
        """Deployments that failed on another host: nothing of their running wave stands alone here. What is whole stays."""
        halted = set(self._shared.barrier.pop("halt", None) or ())
        for tx in reversed(self.transactions):
            if tx.data.get("deployment") not in halted or tx.state not in ("pending", "begun"):
                continue
            tx.finish()
            message = "%s failed on another host" % tx.data["deployment"]
            if tx.state == "begun":
                tx.failed_step = next((str(s["id"]) for s in tx.steps if s["stage"] == stage), None)
                self._undo(tx, StepFailed(message))
            elif tx.state == "pending":
                tx.settle("skipped", message=message)

    def _ask_endpoints(self, stage: str) -> None:
        """Nobody conducts any more, and what is left is to let the old ones go: done alone when the new ones answer. What was
        not begun here is not begun: what goes here may have its successor on another host, and nobody says that it is there.
        """
        for tx in self.transactions:
            tx.finish()
            if tx.state == "pending":
                tx.settle("skipped", message="nobody opened the barrier %s in time" % stage)
                self._left_out = True
            asked = [step for step in tx.steps if step["kind"] == "endpoint.ready" and tx.state == "begun"]
            for step in asked:
                problem = self._step(tx, tx.steps.index(step), step)
                if problem is not None:
                    self._fail(tx, step, problem)
                    break

    def _barrier(self, stage: str) -> Optional[str]:
        """None when the stage may begin, else what silence means. Raises Stopped."""
        said = (self._shared.request.get("barriers") or {}).get(stage)
        if said is None:
            return None
        path = "%s/open-%s" % (paths.run(self._shared.run), stage)
        patience = float(said.get("deadline_s") or 600.0)
        began = self._shared.system.clock()
        self._doing("waiting for the barrier " + stage)
        self._journal.say("barrier", stage=stage, state="waiting")
        while True:
            opened = files.read(self._shared.system, path)
            if opened is not None:
                self._shared.barrier.update(json.loads(opened or b"{}"))
                self._journal.say("barrier", stage=stage, state="open")
                return None
            if self._shared.stopping():
                raise Stopped
            if self._alone(began, patience):
                self._journal.say("barrier", stage=stage, state="timeout")
                return str(said.get("silence") or "keep")
            self._shared.system.pause(POLL_S)

    def _wait_while_paused(self, stage: str, step: Dict[str, Any]) -> None:
        """Before a step: returns when nobody holds the run up any more, or whoever did is gone (see wire.py)."""
        system, path = self._shared.system, paths.run(self._shared.run) + "/pause"
        if files.read(system, path) is None:
            return
        label = str(step.get("label") or step["kind"])
        said = (self._shared.request.get("barriers") or {}).get(stage) or {}
        began, patience = system.clock(), float(said.get("deadline_s") or 600.0)
        self._doing("paused before " + label)
        self._journal.say("pause", state="paused", message="paused before " + label)
        while files.read(system, path) is not None:
            if self._shared.stopping():
                return
            if self._alone(began, patience):
                files.remove(system, path)
                self._journal.say(
                    "pause", state="timeout", message="going on: nobody said for %.0f s that it shall wait" % patience
                )
                return
            system.pause(POLL_S)
        self._journal.say("pause", state="resumed")

    def _alone(self, began: float, patience: float) -> bool:
        """Whether the controller has been silent for longer than we wait."""
        now = self._shared.system.clock()
        return now > began + patience and now > runs.heard(self._shared.system, self._shared.run) + patience

    def _has_work(self, stages: Sequence[str]) -> bool:
        """Whether anything is left to do in these stages; a host that is through need not wait for the others."""
        live = [tx for tx in self.transactions if tx.state in ("pending", "begun")]
        return any(step["stage"] in stages for tx in live for step in tx.steps)

    def _silent(self, stage: str, silence: str) -> str:
        """Nobody opened the barrier: the controller is gone."""
        message = "nobody opened the barrier %s in time" % stage
        if silence == "undo":
            self._undo_unfinished(message)
            return "stopped"
        for tx in self.transactions:
            tx.finish()
            if tx.state == "begun":
                tx.settle("kept", message=message)
        return "stopped"

    def _undo_unfinished(self, message: str) -> None:
        """Last first. What is finished (an artifact, a deployment with all its steps) stays."""
        for tx in reversed(self.transactions):
            tx.finish()
            if tx.state == "begun":
                self._undo(tx, StepFailed(message))
        for tx in self.transactions:
            if tx.state == "pending":
                tx.settle("skipped", message=message)

    def _stage_of(self, tx: Transaction, stage: str) -> None:
        for index, step in enumerate(tx.steps):
            if step["stage"] != stage or tx.state not in ("pending", "begun"):
                continue
            lacking = self._lacking(tx)
            if lacking is not None:
                self._fail(tx, step, StepFailed("it needs %s, which failed" % lacking))
                return
            self._wait_while_paused(stage, step)
            if self._shared.stopping():
                raise Stopped
            tx.state = "begun"
            problem = self._step(tx, index, step)
            if problem is not None:
                self._fail(tx, step, problem)

    def _lacking(self, tx: Transaction) -> Optional[str]:
        """A transaction that this one needs and that failed."""
        for needed in tx.needs:
            other = self._by_id.get(needed)
            if other is not None and other.state not in ("pending", "begun", "done"):
                return other.name
        return None

    def _step(self, tx: Transaction, index: int, step: Dict[str, Any]) -> Optional[StepFailed]:
        """Does one step; None when it is done. Raises Stopped when it let itself be interrupted."""
        ctx = Context(self._shared, tx.data, step, lambda data: self._journal.step(tx.data, step, "progress", data=data))
        self._doing(str(step.get("label") or step["kind"]))
        self._journal.step(tx.data, step, "start")
        try:
            kind = self._steps.get(step["kind"])
            if kind is None:
                raise StepFailed("this agent knows no step %s" % step["kind"])
            before = kind.check(ctx)
            undo.keep(self._shared.system, self._shared.run, tx.number, index, before)
            message = "already there" if before.get("already") else kind.do(ctx, before)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a step meets, the transaction is undone and the report says it)
            return undo.failure(self._shared.system, error)
        tx.done.add(index)
        self._journal.step(tx.data, step, "done", message=message)
        return None

    def _fail(self, tx: Transaction, step: Dict[str, Any], problem: StepFailed) -> None:
        """Undoes it, and before it whatever had built on it."""
        data = {"cause": problem.cause, "hint": problem.hint, "log": problem.log}
        if tx.state == "begun":
            self._journal.step(tx.data, step, "failed", message=problem.message, data={k: v for k, v in data.items() if v})
        else:
            self._journal.step(tx.data, step, "skipped", message=problem.message)
        tx.failed_step = str(step["id"])
        self._undo(tx, problem)

    def _undo(self, tx: Transaction, problem: StepFailed) -> None:
        self._journal.free_room()
        if tx.state == "pending":
            tx.settle("skipped", problem)
            return
        tx.state = "undoing"
        for other in reversed(self.transactions):
            if tx.id in other.needs and other.state in ("pending", "begun", "done"):
                self._undo(other, StepFailed("it needs %s, which failed" % tx.name))
        self._doing("undoing " + tx.name)
        problems = undo.undo_transaction(self._shared, self._steps, self._shared.run, tx.number, tx.data, self._journal.step)
        tx.settle("undo-failed" if problems else "undone", problem, problems)

    def _doing(self, what: str) -> None:
        if self._lock is not None:
            self._lock.doing(what)

    def report(self) -> Dict[str, Dict[str, Any]]:
        return {tx.id: tx.report() for tx in self.transactions}

    @property
    def leaves_something(self) -> bool:
        return any(tx.state in ("kept", "undo-failed") for tx in self.transactions)
