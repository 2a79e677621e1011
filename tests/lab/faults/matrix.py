"""Runs cells of the fault matrix on a lab host: brings the operation to the step's boundary, lets the fault happen, looks at
what stands, lets the next apply converge, looks again. Called by test_matrix.py and script/faults.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from deployer.agent import wire
from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.errors import Refused
from deployer.plan.steps import transactions
from tests.lab.faults import checks
from tests.lab.faults.bench import Bench, Watcher, add_models
from tests.lab.faults.cells import Cell, Fault, StepAt, steps_of
from tests.lab.faults.controller import Controller, Ended, bring_hooked_agent
from tests.lab.faults.operations import KEEPER, OPERATIONS, SUBJECT, Files, Operation, plan, update

PORT = 8443
SILENCE_S = 2.0  # how long a host waits at a barrier for a controller that is dead
CUT_S = 20.0
JUMP_S = 400 * 86400.0
RUN_S = 90.0  # the longest that a run may live after its fault
BACK_S = 60.0  # the longest until something answers again after a boot or an engine's own end

#: What the controller's exit code must be; where a fault is not here, several are right.
CODES: Mapping[Fault, tuple[int, ...]] = {
    Fault.ATTACHED: (0,),
    Fault.AGENT: (0, 5),  # 0: its last step was done
    Fault.CUT_20: (0,),
    Fault.CLOCK: (0,),
    Fault.OPERATOR: (0,),
    Fault.DISK: (5,),
    Fault.ENGINE_EXIT: (5,),
    Fault.ENGINE_HANG: (5,),
    Fault.DIGEST: (5,),
}


@dataclass
class Seen:
    """What a cell left. Green when `problems` is empty. `out_s`: how long the subject did not answer, to a tenth."""

    cell: Cell
    problems: list[str] = field(default_factory=list)
    result: str = ""
    exit_code: int | None = None
    out_s: float = 0.0
    seconds: float = 0.0

    def line(self) -> str:
        verdict = "ok" if not self.problems else "FAILED"
        said = "; ".join(self.problems) or self.result
        return f"{verdict:6} {self.cell.key} ({self.cell.label}) · {said} · {self.seconds:.1f} s"


class Matrix:
    """The bench in a good state, operation after operation."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.files = Files(bench.root, bench.host)
        self.elsewhere = bench.root.parent / f"{bench.root.name}-elsewhere"
        self._over_an_update = False  # so that every rollback, whatever came before it, is one of a new process
        bring_hooked_agent()

    def prepare(self) -> None:
        """Both deployments serve; engines can be made to fail."""
        add_models(self.bench.root)
        self.bench.empty_disk()
        self.bench.forget_orders()
        for self.files.model in ("tiny-b", "tiny-a"):
            self.files.write()
            with Fleet.load(self.bench.root) as fleet:
                fleet.lock()
        self._lock_everything()
        self._apply()
        self.bench.give_engines_their_fault()
        self._second_checkout()

    def _lock_everything(self) -> None:
        """Both models are pinned, whichever the files name at the moment."""
        spare = self.bench.root / "deployments/spare.yaml"
        text = (self.bench.root / f"deployments/{SUBJECT}.yaml").read_text()
        spare.write_text(text.replace(f"name: {SUBJECT}", "name: spare").replace("tiny-a", "tiny-b"))
        with Fleet.load(self.bench.root) as fleet:
            fleet.lock()
        spare.unlink()

    def _second_checkout(self) -> None:
        """The same repository on another machine: the same files, none of the plans that were made here."""
        shutil.rmtree(self.elsewhere, ignore_errors=True)
        shutil.copytree(self.bench.root, self.elsewhere, ignore=shutil.ignore_patterns("plans"))

    def _follow(self) -> None:
        """What git would bring to the other machine."""
        shutil.copytree(self.bench.root / "deployments", self.elsewhere / "deployments", dirs_exist_ok=True)
        for path in (self.elsewhere / "deployments").iterdir():
            if not (self.bench.root / "deployments" / path.name).exists():
                path.unlink()

    def _apply(self, *, release: bool = False) -> None:
        with Fleet.load(self.bench.root) as fleet:
            report = plan(fleet, release=release).apply()
            assert report.exit_code == 0, report.json()

    def ready(self, operation: Operation) -> None:
        """The state in which the operation begins."""
        self.files.strategy = operation.strategy
        if operation.back and not (self._over_an_update and self._may_go_back()):
            for _ in range(2):  # the revision that it goes back to has the operation's strategy, as the one that stands has
                update(self.files)
                self._become(operation)
            return
        wanted = (operation.needs, operation.replicas)
        if wanted != (self.files.there, self.files.replicas) or self.files.held not in (False, operation.back):
            self._become(operation)

    def _may_go_back(self) -> bool:
        """Not on a host that has seen little: what it went back to last may be the first that it remembers."""
        with Fleet.load(self.bench.root) as fleet:
            try:
                fleet.rollback(SUBJECT)
            except Refused:
                return False
        return True

    def _become(self, operation: Operation) -> None:
        self.files.there, self.files.replicas = operation.needs, operation.replicas
        self.files.write()
        self._apply(release=self.files.held)
        self.files.held = False

    @contextmanager
    def planned(self, operation: Operation) -> Iterator[Planned]:
        """Its plan, on files that have moved."""
        self.ready(operation)
        self._over_an_update = operation.back
        operation.change(self.files)
        self.files.write()
        if operation.new_model:
            self.bench.remove_artifacts(self.files.model)
        with Fleet.load(self.bench.root) as fleet:
            yield operation.plan(fleet)

    def steps(self, operation: Operation) -> list[StepAt]:
        """Those that have cells, of the operation's real plan, their ids the same in both of its directions. It is done."""
        with self.planned(operation) as planned:
            every = steps_of(transactions(planned.plan, self.bench.host))
            assert planned.apply().exit_code == 0
        found = [s for s in every if operation.stages is None or s.stage in operation.stages]
        return [StepAt(checks.key(s), s.kind, s.stage, checks.normal(s.label), s.deployment, s.edge) for s in found]

    def run(self, cell: Cell) -> Seen:
        began = time.monotonic()
        seen = Seen(cell)
        operation = OPERATIONS[cell.operation]
        with ExitStack() as stack:
            stack.enter_context(_told(seen))
            planned = stack.enter_context(self.planned(operation))
            steps = steps_of(transactions(planned.plan, self.bench.host))
            at = next((s for s in steps if checks.key(s) == cell.step), None)
            if at is None:
                seen.problems.append("the plan has no such step any more")
            else:
                keeper = stack.enter_context(Watcher(self.bench, KEEPER, PORT))
                _Attempt(self, seen, operation, planned, at).run()
                self._converges(seen)
                if cell.fault is not Fault.REBOOT:
                    seen.problems += [f"{KEEPER}, which nobody touched: {why}" for _, why in keeper.failed[:1]]
                seen.problems += ["nobody asked the keeper"] * (keeper.asked == 0)
        if seen.problems:
            self._repair()
        seen.seconds = time.monotonic() - began
        return seen

    def _converges(self, seen: Seen) -> None:
        """The next apply makes what the files say, and nothing is left of what was before."""
        with Fleet.load(self.bench.root) as fleet:
            report = plan(fleet).apply()
            if report.exit_code != 0:
                seen.problems.append(f"the next apply ends with {report.exit_code}: {_why(report.json())}")
                return
            rest = plan(fleet).plan
            seen.problems += [f"the next plan is not empty: {c.address} {c.actions} {c.reason}" for c in rest.changes]
            seen.problems += [f"the next plan sees drift: {d.what}" for d in rest.drift]
            found = self.bench.look()
            if found.probe["lock"] or found.probe["unfinished"]:
                seen.problems.append(f"left: lock {found.probe['lock']}, unfinished {found.probe['unfinished']}")
        seen.problems += [f"half made, after the next apply: {path}" for path in self.bench.half_made()]
        seen.problems += checks.leftovers(self.bench)
        # an engine that has ended by itself is started again by systemd; an apply that finds nothing to do waits for nobody
        patience = BACK_S if seen.cell.fault is Fault.ENGINE_0 else 0.0
        watcher = Watcher(self.bench, SUBJECT, PORT)
        if self.files.there and not _within(patience, watcher.answers) and (why := watcher.refusal()):
            seen.problems.append(f"after the next apply it does not answer: {why}")
        units = [key for key in self.bench.standing(SUBJECT) if key.startswith("unit ")]
        if len(units) != (self.files.replicas if self.files.there else 0):
            seen.problems.append(f"units after the next apply: {units}")

    def _repair(self) -> None:
        """A state from which other cells can still begin, whatever a red one left."""
        self._over_an_update = False
        for blob in self.bench.path(wire.ROOT_BLOBS).glob("*"):
            blob.unlink()
        for _ in range(4):
            with Fleet.load(self.bench.root) as fleet:
                planned = plan(fleet)
                if not planned.plan.changes:
                    return
                planned.apply()


@contextmanager
def _told(seen: Seen) -> Iterator[None]:
    """What a cell could not even ask is its problem; the other cells go on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        seen.problems.append(f"{type(error).__name__}: {error}")


def _why(report: Mapping[str, Any]) -> str:
    found = [t.get("message") for h in report["hosts"].values() for t in h["transactions"].values() if t["state"] != "done"]
    said = [h.get("message") for h in report["hosts"].values()]
    return "; ".join(str(word) for word in [*said, *found] if word)[:400]


class _Attempt:
    """One apply that meets its fault."""

    def __init__(self, matrix: Matrix, seen: Seen, operation: Operation, planned: Planned, at: StepAt) -> None:
        self.matrix = matrix
        self.bench = matrix.bench
        self.seen = seen
        self.cell = seen.cell
        self.operation = operation
        self.planned = planned
        self.at = at
        self.before = self.bench.standing(SUBJECT)
        self.known = self.bench.runs()
        self.ended: Ended | None = None
        self.told: list[str] = []

    def run(self) -> None:
        with Watcher(self.bench, SUBJECT, PORT) as watcher:
            silence = SILENCE_S if self.cell.fault in (Fault.CONTROLLER, Fault.CUT) else None
            self._order()
            controller = Controller("apply", self.bench.root, self.planned.save(), silence)
            try:
                if self._reached(controller):
                    _ACTS[self.cell.fault](self, controller)
            finally:
                controller.kill()
                self._restore()
            if not self.told:
                self._look(watcher)
        self.seen.problems += self.told

    def _order(self) -> None:
        act, more = "wait", {}
        if self.cell.fault is Fault.AGENT:
            act = "kill"
        elif self.cell.fault is Fault.CLOCK:
            act, more = "jump", {"seconds": JUMP_S}
        elif self.cell.fault is Fault.ENGINE_0:
            act, more = "end engines", {"units": [f"deployer-*-{SUBJECT}-*.service"], "signal": "TERM"}
        self.bench.order(self.at.id, self.cell.moment, act, **more)

    def _reached(self, controller: Controller) -> bool:
        end = time.monotonic() + RUN_S
        while time.monotonic() < end:
            if self.bench.reached():
                return True
            if not controller.alive:
                break
            time.sleep(0.02)
        self.ended = controller.end(5)
        self.told.append(f"the step was never reached: {self.ended}")
        return False

    def _restore(self) -> None:
        self.bench.forget_orders()
        self.bench.empty_disk()
        self.bench.lab.heal(self.bench.host)

    @property
    def run_id(self) -> str | None:
        return next(iter(self.own_runs()), None)

    def own_runs(self) -> list[str]:
        """The apply's, and what it began of itself after it; a second operator's has refused."""
        new = sorted(self.bench.runs() - self.known)
        return [run for run in new if any(e["type"] == "locked" for e in self.bench.journal(run))]

    def run_ends(self) -> None:
        run = self.run_id
        end = time.monotonic() + RUN_S
        undone = self.cell.fault is Fault.AGENT  # by systemd, a moment after the process is gone
        while run and (self.bench.lives(run) or undone and checks.report_of(self.bench.journal(run)) is None):
            if time.monotonic() > end:
                self.told.append(f"no end of its run {RUN_S:.0f} s later: {self.bench.journal(run)[-1:]}")
                return
            time.sleep(0.05)

    def finish(self, controller: Controller) -> None:
        """The controller works on to its end."""
        self.bench.go()
        self.ended = controller.end(RUN_S)
        if self.ended is None:
            self.told.append(f"the controller does not end within {RUN_S:.0f} s, or died")

    # afterwards

    def _look(self, watcher: Watcher) -> None:
        self.run_ends()
        run = self.run_id
        if run is None:
            self.told.append("there was no run")
            return
        events, request = self.bench.journal(run), self.bench.request(run)
        report = checks.report_of(events)
        state = checks.state_of(report, SUBJECT)
        self.seen.result = f"{report['result'] if report else 'no report'}, {SUBJECT} {state}"
        self.seen.exit_code = self.ended.exit_code if self.ended else None
        wanted = CODES.get(self.cell.fault, ())
        if self.cell.fault is Fault.DISK and "~" in self.at.id:
            wanted += (1,)  # the waves before go back by a plan of their own; where the disk stays full its run may find no room
        if wanted and self.seen.exit_code not in wanted:
            self.told.append(f"exit code {self.seen.exit_code}, not {wanted}: {self.ended}")
        self._alone(request, events, report)
        self.told += checks.untrue(self.bench, [(self.bench.request(one), self.bench.journal(one)) for one in self.own_runs()])
        self._named(run, report is not None, events, state)
        if checks.all_undone(report, SUBJECT) and (now := self.bench.standing(SUBJECT)) != self.before:
            self.told.append(f"said to be undone, and differs: {sorted(set(self.before.items()) ^ set(now.items()))}")
        half = set(self.bench.half_made()) & self.bench.named_artifacts()
        self.told += [f"a unit names a half-made artifact: {path}" for path in sorted(half)]
        self._served(watcher, request, events)

    def _named(self, run: str, reported: bool, events: checks.Events, state: str) -> None:
        """The lock is free; a run that did not end well is named to the next one who asks."""
        found = self.bench.look()
        if found.probe["lock"]:
            self.told.append(f"the lock is left: {found.probe['lock']}")
        named = {one["run"] for one in found.probe["unfinished"]}
        open_states = {"kept", "undo-failed", "lost"}
        should = state in open_states and (reported or any(e["type"] == "step" for e in events))
        if should and run not in named:
            self.told.append(f"the run left {SUBJECT} {state} and nobody is told")

    def _alone(self, request: Mapping[str, Any], events: checks.Events, report: Mapping[str, Any] | None) -> None:
        """Without a controller the run does what its plan's barriers say: to the transaction of this step, if it has begun."""
        mine = next(t["id"] for t in request["transactions"] if any(s["id"] == self.at.id for s in t["steps"]))
        if self.cell.fault not in (Fault.CONTROLLER, Fault.CUT) or wire.deployment_of(mine) != SUBJECT:
            return
        state = checks.state_of(report, SUBJECT, mine)
        own = [s for t in request["transactions"] if t["id"] == mine for s in t["steps"]]
        silence = checks.next_barrier({**request, "transactions": [{"steps": own}]}, self.at.stage)
        wanted = {"keep": "kept", "undo": "undone", "finish": "done", None: "done"}[silence]
        if state != wanted:
            self.told.append(f"left alone, silence means {silence}: {mine} should be {wanted} and is {state}")

    def _served(self, watcher: Watcher, request: Mapping[str, Any], events: checks.Events) -> None:
        """Who had to answer did."""
        kills_serving = self.cell.fault in (Fault.REBOOT, Fault.ENGINE_0)
        rollout = self.planned.plan.rollouts.get(SUBJECT)
        promised = rollout is not None and rollout.strategy in ("blue_green", "rolling")
        stopped = checks.stops_serving(request, events, promised)
        if stopped is not None and stopped > time.time() + JUMP_S / 2:
            stopped -= JUMP_S  # said by a clock that had jumped
        failed = [(at, why) for at, why in watcher.failed if stopped is None or at < stopped - 0.05]
        if self.operation.needs and not kills_serving and failed:
            self.told.append(f"it did not answer {len(failed)} times while nothing had stopped it: {failed[0][1]}")
        if watcher.failed and self.operation.serves:
            self.seen.out_s = round(max(0.0, time.time() - watcher.failed[0][0]), 1)
        if self.operation.serves and not _within(BACK_S if kills_serving else 15.0, watcher.answers):
            self.told.append(f"nobody answers, and it is over: {self.seen.result}")
        if self.operation.serves and watcher.failed:
            self.seen.out_s = round(watcher.failed[-1][0] - watcher.failed[0][0], 1)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def _killed(attempt: _Attempt, controller: Controller) -> None:
    controller.kill()
    attempt.bench.go()
    attempt.run_ends()


def _attached(attempt: _Attempt, controller: Controller) -> None:
    controller.kill()
    attempt.matrix._follow()
    attempt.bench.go()
    other = Controller("attach", attempt.matrix.elsewhere)
    attempt.ended = other.end(RUN_S)
    other.kill()


def _rebooted(attempt: _Attempt, controller: Controller) -> None:
    attempt.bench.lab.reboot(attempt.bench.host)
    attempt.ended = controller.end(RUN_S)


def _cut(attempt: _Attempt, controller: Controller) -> None:
    attempt.bench.lab.cut(attempt.bench.host)
    attempt.bench.go()
    attempt.run_ends()


def _cut_20(attempt: _Attempt, controller: Controller) -> None:
    attempt.bench.lab.cut(attempt.bench.host)
    attempt.bench.go()
    threading.Event().wait(CUT_S)
    attempt.bench.lab.heal(attempt.bench.host)
    attempt.finish(controller)


def _full(attempt: _Attempt, controller: Controller) -> None:
    attempt.bench.fill_disk()
    attempt.finish(controller)


def _broken(mode: str) -> Callable[[_Attempt, Controller], None]:
    def act(attempt: _Attempt, controller: Controller) -> None:
        steps = [s for t in transactions(attempt.planned.plan, attempt.bench.host) for s in t["steps"]]
        for unit in {s["args"]["unit"] for s in steps if s["kind"] == "unit.start"}:
            attempt.bench.break_engine(unit, mode)
        attempt.finish(controller)

    return act


def _spoiled(attempt: _Attempt, controller: Controller) -> None:
    if not attempt.bench.spoil_blobs():
        attempt.told.append("there was no blob to spoil")
    attempt.finish(controller)


def _goes_on(attempt: _Attempt, controller: Controller) -> None:
    attempt.finish(controller)


def _second(attempt: _Attempt, controller: Controller) -> None:
    """Somebody else applies the same meanwhile: told who is there, and nothing is disturbed."""
    attempt.matrix._follow()
    with Fleet.load(attempt.matrix.elsewhere) as fleet:
        planned = plan(fleet)
        code = planned.apply().exit_code if planned.plan.changes else 7
    if code != 7:
        attempt.told.append(f"the second operator got {code}, not 7")
    attempt.finish(controller)


_ACTS: dict[Fault, Callable[[_Attempt, Controller], None]] = {
    Fault.CONTROLLER: _killed,
    Fault.ATTACHED: _attached,
    Fault.AGENT: _goes_on,
    Fault.REBOOT: _rebooted,
    Fault.CUT: _cut,
    Fault.CUT_20: _cut_20,
    Fault.DISK: _full,
    Fault.ENGINE_EXIT: _broken("exit"),
    Fault.ENGINE_0: _goes_on,
    Fault.ENGINE_HANG: _broken("hang"),
    Fault.DIGEST: _spoiled,
    Fault.CLOCK: _goes_on,
    Fault.OPERATOR: _second,
}
