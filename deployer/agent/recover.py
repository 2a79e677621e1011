"""Undoing what a run left that was killed, or that went down with its host.

A run that is killed (out of memory, by a hand) is undone at once, by `recover`: systemd starts it in the run's own unit when its
process has ended badly. What that could not do, and what was left when the host itself went down, is undone by the next run, in
its step `run.undo`.

A transaction whose record is written is not undone: the record says what was applied, and the plan that undoes the run was made
on it. What it had left to tidy up is done instead.
"""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from deployer.agent import files, journal, lock, paths, runs, systemctl, undo
from deployer.agent.context import Context, Shared, StepFailed
from deployer.agent.facts import ports
from deployer.agent.journal import Journal
from deployer.agent.steps.base import Step
from deployer.agent.system import System

Tell = Callable[..., None]

#: What systemd says of a run that ended by itself, or that had to be ended because the host goes down.
ENDED = frozenset({"success", "timeout"})


def recover_as_service(system: System, run_id: str) -> int:
    """Once the run's process is gone, however it ended."""
    if os.environ.get("SERVICE_RESULT") not in ENDED:
        _end_children(system, run_id)
        recover(system, run_id)
    return 0


def _end_children(system: System, run_id: str) -> None:
    """What the run had started (a conversion, an installer) works on for nobody, on what is about to be removed."""
    group = systemctl.show_one(system, paths.run_unit(run_id)).get("ControlGroup", "")
    for pid in ports.pids(system, group):
        if int(pid) != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)


def recover(system: System, run_id: str, steps: Optional[Dict[str, Step]] = None) -> None:
    """Undoes a run that wrote no report, and writes it. Nothing when another run has the host by now: its plan knows."""
    request = runs.request(system, run_id)
    events = journal.read(system, run_id)
    if request is None or runs.is_settled(system, run_id) or any(event["type"] == "report" for event in events):
        return
    held = lock.take(system, lock.words(system, request, "undoing what a killed run began"))
    if held is None:
        return
    book = Journal(system, run_id)
    try:
        book.free_room()
        shared = Shared(system, request, {})
        course = _course(shared, run_id, request, events)
        ended = _undo(shared, run_id, course, _built_on(course, _fallen(course)), book.step, steps)
        states = {state for state, _ in ended.values()}
        left = bool(states & runs.OPEN_STATES)
        result = "failed" if left else "done" if states <= {"done"} else "rolled-back"
        if not left:
            runs.settle(system, run_id, "undone when it was killed")
        held.release()
        book.say("report", result=result, transactions=_report(ended, _at_death(events)))
    finally:
        book.close()
        held.release()


def _at_death(events: List[Dict[str, Any]]) -> Dict[str, str]:
    """The step of each transaction that the run had begun last: what it was doing, or had done when it waited."""
    return {str(e["tx"]): str(e["step"]) for e in events if e["type"] == "step" and e.get("state") == "start"}


def _report(ended: Dict[str, Tuple[str, List[str]]], last: Dict[str, str]) -> Dict[str, Dict[str, Any]]:
    told: Dict[str, Dict[str, Any]] = {}
    for tx, (state, problems) in ended.items():
        told[tx] = {"state": state}
        if state not in ("done", "skipped"):
            message = "the run on the host was killed"
            told[tx]["message"] = "%s; and it could not be undone: %s" % (message, "; ".join(problems)) if problems else message
            told[tx]["cause"] = "the agent's process was killed: by hand, or because the host ran out of memory"
            told[tx]["hint"] = "journalctl -k on the host names what was out of memory; deployer apply tries again"
            if tx in last:
                told[tx]["step"] = last[tx]
    return told


def undo_run(shared: Shared, run_id: str, progress: Callable[..., None]) -> List[str]:
    """Undoes the transactions that had begun and were not finished, last first; one that is recorded is finished. Returns
    what could not be undone.
    """
    if runs.lives(run_id, systemctl.ask(shared.system, [paths.run_unit(run_id)])):
        raise StepFailed("the run %s is still alive" % run_id)

    def tell(transaction: Dict[str, Any], step: Dict[str, Any], state: str, **fields: Any) -> None:
        label = str(step.get("label") or step["kind"])
        if state == "progress":
            progress(**dict(fields["data"], phase="%s: %s" % (label, fields["data"].get("phase", ""))))
        else:
            progress(phase="%s: %s" % (state, fields.get("message") or label))

    course = _course(shared, run_id, runs.request(shared.system, run_id) or {}, journal.read(shared.system, run_id))
    ended = _undo(shared, run_id, course, _fallen(course), tell)
    return [problem for _, problems in ended.values() for problem in problems]


class _Part(NamedTuple):
    """A transaction of the run, and how far it came."""

    number: int
    transaction: Dict[str, Any]
    begun: bool
    whole: bool  # every step of it was done, and none undone since: it stands
    recorded: Optional[int]  # which of its steps has written its record

    @property
    def id(self) -> str:
        return str(self.transaction["id"])


def _course(shared: Shared, run_id: str, request: Dict[str, Any], events: List[Dict[str, Any]]) -> List[_Part]:
    last = {
        (event.get("tx"), event["step"]): event.get("state")
        for event in events
        if event["type"] == "step" and event.get("state") != "progress"
    }
    return [
        _Part(
            number,
            transaction,
            begun=any(undo.kept(shared.system, run_id, number, i) is not None for i in range(len(transaction["steps"]))),
            whole=all(last.get((transaction["id"], step["id"])) == "done" for step in transaction["steps"]),
            recorded=_recorded(shared, run_id, number, transaction),
        )
        for number, transaction in enumerate(request.get("transactions") or [])
    ]


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


def _fallen(course: List[_Part]) -> Set[str]:
    """Transactions that had begun and are neither whole nor recorded."""
    return {part.id for part in course if part.begun and not part.whole and part.recorded is None}


def _built_on(course: List[_Part], fallen: Set[str]) -> Set[str]:
    """With those that had begun and need one of them, as when a step fails (see runner.py)."""
    while True:
        more = {p.id for p in course if p.begun and fallen.intersection(p.transaction.get("needs") or [])} - fallen
        if not more:
            return fallen
        fallen = fallen | more


def _undo(
    shared: Shared, run_id: str, course: List[_Part], fallen: Set[str], tell: Tell, steps: Optional[Dict[str, Step]] = None
) -> Dict[str, Tuple[str, List[str]]]:
    """Transaction → how it ended, in a report's words, and what could not be undone or tidied up. Undoes the `fallen`."""
    from deployer.agent.steps import STEPS

    kinds = steps or STEPS
    ended: Dict[str, Tuple[str, List[str]]] = {}
    for part in reversed(course):
        problems: List[str] = []
        if part.id in fallen:
            problems = undo.undo_transaction(shared, kinds, run_id, part.number, part.transaction, tell)
            state = "undo-failed" if problems else "undone"
        elif not part.begun:
            state = "skipped"
        else:
            if part.recorded is not None and not part.whole:
                problems = _finish(shared, kinds, part.transaction, part.recorded + 1, tell)
            state = "kept" if problems else "done"
        ended[part.id] = (state, problems)
    return ended


def _progress(tell: Tell, transaction: Dict[str, Any], step: Dict[str, Any], data: Dict[str, Any]) -> None:
    tell(transaction, step, "progress", data=data)


def _finish(shared: Shared, kinds: Dict[str, Step], transaction: Dict[str, Any], first: int, tell: Tell) -> List[str]:
    """The steps after the record, which only tidy up."""
    problems: List[str] = []
    for step in transaction["steps"][first:]:
        kind = kinds[step["kind"]]
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
