"""`unit.ready`: a unit is ready when it has answered a real inference. Says meanwhile how far it is, ends early when it
fails, and keeps what the first failure said.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional

from deployer.agent import files, paths, starts, systemctl
from deployer.agent.context import Context, StepFailed
from deployer.agent.figures import Figures, held
from deployer.agent.steps.base import Before, Step
from deployer.agent.steps.journal_lines import UnitJournal
from deployer.agent.times import iso

POLL_S = 0.5
DEADLINE_S = 300.0
RESTARTS = 2  # automatic restarts that are given a chance, where no known failure was seen
BACK_S = 600.0  # how long an old version may take to answer again


class NotYet(Exception):
    """Why it does not answer."""


def ask(ctx: Context, args: Dict[str, Any], patience_s: float = 60.0) -> None:
    """GET the ready path, then POST the inference, which may take that long. Raises NotYet."""
    base = "http://127.0.0.1:%d" % int(args["port"])
    try:
        if args.get("ready_path"):
            status, _body = ctx.system.http("GET", base + str(args["ready_path"]), timeout=5)
            if status != 200:
                raise NotYet("%s answers %d" % (args["ready_path"], status))
        inference = args.get("inference")
        if inference:
            body = json.dumps(inference["body"]).encode()
            headers = {"Content-Type": "application/json"}
            status, answer = ctx.system.http("POST", base + str(inference["path"]), headers, body, timeout=patience_s)
            if status != 200:
                raise NotYet("an inference is answered with %d: %s" % (status, answer[:300].decode("utf-8", "replace").strip()))
    except OSError as error:
        raise NotYet("no answer on port %s: %s" % (args["port"], error.strerror or error)) from None


def until_answers(ctx: Context, unit: str, args: Dict[str, Any]) -> None:
    """After an undo: the old version is back when it answers (where we know what to ask), or at least runs."""
    end = ctx.system.clock() + BACK_S
    while True:
        found = systemctl.show_one(ctx.system, unit)
        why = "it is %s" % found.get("ActiveState", "unknown")
        if found.get("ActiveState") == "active":
            if not args:
                return
            try:
                ask(ctx, args)
                return
            except NotYet as error:
                why = str(error)
        if found.get("ActiveState") == "failed" or ctx.system.clock() > end:
            raise StepFailed("%s was started again and does not come up: %s" % (unit, why))
        ctx.progress(phase="waiting for the old one to answer: %s" % why)
        ctx.system.sleep(POLL_S)


class Ready(Step):
    def do(self, ctx: Context, before: Before) -> Optional[str]:
        watch = _Watch(ctx)
        end = ctx.system.clock() + float(ctx.args.get("deadline_s") or DEADLINE_S)
        while True:
            ctx.check()
            why = watch.look(min(60.0, max(1.0, end - ctx.system.clock())))  # an engine that hangs must not hold us longer
            if why is None:
                starts.answers(ctx, watch.memory())
                return "answers"
            if watch.stuck(ctx.args.get("progress_s")):
                raise watch.failed("nothing of it moved for %.0f s: %s" % (float(ctx.args["progress_s"]), why))
            if ctx.system.clock() > end:
                raise watch.failed("it did not answer within %.0f s: %s" % (float(ctx.args.get("deadline_s") or DEADLINE_S), why))
            ctx.system.sleep(POLL_S)


class _Watch:
    """One wait for one unit."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._unit = paths.own_unit(ctx.fleet, str(ctx.args["unit"]))
        self._journal = UnitJournal(ctx.system)
        self._started = ctx.system.clock()
        self._progress: Dict[str, Any] = {"phase": "starting"}
        self._invocation = ""
        self._moved = self._started
        self._before: Optional[int] = None  # restarts of before we came; None until systemd has said
        self._state = systemctl.show_one(ctx.system, self._unit)
        self._figures = Figures(ctx.args.get("figures") or [])

    def look(self, patience_s: float) -> Optional[str]:
        """None when it is ready, else why not. Raises StepFailed when it never will be."""
        found = systemctl.show_one(self._ctx.system, self._unit)
        active = found.get("ActiveState", "unknown")
        if found:
            self._take(found)
        restarts = _restarts(found) - (self._before or 0)
        if active == "failed" or (active == "inactive" and found.get("SubState") == "dead"):
            raise self.failed("it ended%s" % self._how(found))
        if restarts >= RESTARTS or (restarts > 0 and self._known() is not None):
            raise self.failed("it ended and was started again %d time%s%s" % (restarts, "s" * (restarts != 1), self._how(found)))
        try:
            ask(self._ctx, self._ctx.args, patience_s)
        except NotYet as error:
            why = str(error)
        else:
            if active == "active":
                return None
            why = "it answers, and systemd %s" % ("still says " + active if found else "does not")
        self._ctx.progress(**dict(self._progress, waited_s=round(self._ctx.system.clock() - self._started, 1), why=why))
        return why

    def _take(self, found: Dict[str, str]) -> None:
        if self._before is None:
            first = self._state or found
            self._before = _restarts(first) if first.get("ActiveState") == "active" else 0
        self._state = found
        self._read(found.get("InvocationID", ""))

    def memory(self) -> Optional[Dict[str, Any]]:
        """What is noted of it with the start, under the plan's own key; None when the plan asks for nothing."""
        asked = self._ctx.args.get("memory")
        if not isinstance(asked, dict):
            return None
        self._journal.now = True
        self._read(self._state.get("InvocationID", ""))
        gpus = [str(uuid) for uuid in asked.get("gpus") or []]
        noted = {name: value for name, value in asked.items() if name not in ("gpus", "shared")}
        holds = held(self._ctx.system, self._state.get("ControlGroup", ""), gpus, self._unit if asked.get("shared") else None)
        return dict(noted, **dict(holds, **self._figures.found()))

    def stuck(self, patience: Optional[float]) -> bool:
        """Whether it has said nothing new for so many seconds."""
        return patience is not None and self._ctx.system.clock() > self._moved + float(patience)

    def _read(self, invocation: str) -> None:
        if invocation != self._invocation:
            self._invocation = invocation
            self._figures.forget()
        for line in self._journal.new_lines(invocation):
            self._moved = self._ctx.system.clock()
            self._figures.take(line)
            for phase in self._ctx.args.get("phases") or []:
                found = re.search(phase["regex"], line)
                if found:
                    self._progress = dict({"phase": phase["phase"]}, **_counts(found))

    def _how(self, found: Dict[str, str]) -> str:
        status, result = self._first_status() or found.get("ExecMainStatus", "0"), found.get("Result", "")
        return " (exit status %s%s)" % (status, "" if result in ("success", "exit-code", "") else ", " + result)

    def _first_status(self) -> Optional[str]:
        """From systemd's own line about the first end: its properties are soon those of the next start."""
        self._journal.now = True
        self._read(self._state.get("InvocationID", ""))
        ends = (re.search(r"Main process exited, code=\w+, status=(\d+)", line) for line in self._journal.first)
        return next((found.group(1) for found in ends if found), None)

    def _known(self) -> Optional[Dict[str, Optional[str]]]:
        return classify(self._journal.first, self._ctx.args.get("failures") or [])

    def failed(self, message: str) -> StepFailed:
        """Keeps the first failure on the host, where `status` and `logs --failure` find it."""
        self._journal.now = True
        self._read(self._state.get("InvocationID", ""))
        log = self._journal.first[-200:]
        known = self._known() or {"cause": None, "hint": None}
        _keep(self._ctx, self._unit, dict(known, message=message, log=log))
        return StepFailed(message, cause=known["cause"], hint=known["hint"], log=_telling(log))


def _restarts(properties: Dict[str, str]) -> int:
    found = properties.get("NRestarts", "0")
    return int(found) if found.isdigit() else 0


def _counts(found: Any) -> Dict[str, Any]:
    groups = found.groupdict()
    return {
        key: int(groups[key].replace(",", "")) for key in ("done", "total") if (groups.get(key) or "").replace(",", "").isdigit()
    }


def classify(lines: List[str], failures: List[Dict[str, Any]]) -> Optional[Dict[str, Optional[str]]]:
    """{"cause", "hint"} of the first pattern, in the engine's order, that a line matches; named groups fill both. Where a pattern
    has "beside", some line must match that as well.
    """
    for pattern in failures:
        beside = pattern.get("beside")
        if beside and not any(re.search(beside, line) for line in lines):
            continue
        for line in lines:
            found = re.search(pattern["regex"], line)
            if found:
                return {"cause": _fill(pattern["cause"], found), "hint": _fill(pattern.get("hint"), found)}
    return None


def _fill(text: Optional[str], found: Any) -> Optional[str]:
    if text is None:
        return None
    for name, value in found.groupdict().items():
        text = text.replace("{%s}" % name, value or "?")
    return re.sub(r"\{(\w+)/(\w+)\}", lambda pair: _share(*(found.groupdict().get(name) for name in pair.groups())), text)


def _share(one: Optional[str], other: Optional[str]) -> str:
    """ "0.12" of "10.2" and "79.1": as a share, never rounded up."""
    try:
        return "%.2f" % (int(100 * float(one or "") / float(other or "")) / 100.0)
    except (ValueError, ZeroDivisionError):
        return "?"


def _telling(log: List[str]) -> List[str]:
    """The end of the log, and the first error where that lies further up: the last line is seldom the cause."""
    tail = log[-30:]
    first = next((line for line in log if re.search(r"\bERROR\b|Error: |Exception: ", line)), None)
    return tail if first is None or first in tail else [first, "…", *tail]


def _keep(ctx: Context, unit: str, failure: Dict[str, Any]) -> None:
    name = ctx.transaction.get("deployment")
    if not name:
        return
    folder = paths.deployment(ctx.fleet, str(name))
    revision = next(
        (
            (s.get("args") or {}).get("record", {}).get("revision")
            for s in ctx.transaction["steps"]
            if s.get("kind") == "record" and (s.get("args") or {}).get("record")
        ),
        None,
    )
    kept = dict(failure, at=iso(ctx.system.now()), unit=unit, revision=revision, run=ctx.shared.run)
    try:
        files.make_directories(ctx.system, folder)
        files.write_json(ctx.system, folder + "/failure.json", kept, 0o600)
    except OSError:
        return  # a full disk must not hide why the engine failed
