"""A random walk over fleets and faults: deployments come, change, go, are stopped and rolled back; runs fail, die and are cut
off at any of their steps, hosts reboot or fall silent. What must hold is asked after each step (walk.py).

A few short walks here; DEPLOYER_WALKS=N takes N longer ones (script/faults).
"""

import contextlib
import errno
import os
from dataclasses import replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from deployer.agent.context import StepFailed
from deployer.errors import Refused
from deployer.plan.model import Plan
from deployer.plan.world import Options
from tests.properties.walk import HOSTS, NAMES, Walk, Wish, begin

WALKS = int(os.environ.get("DEPLOYER_WALKS", "0"))

names = st.sampled_from(NAMES)
hosts = st.sampled_from(HOSTS)
wishes = st.builds(
    Wish,
    host=hosts,
    length=st.sampled_from([512, 640, 768]),
    strategy=st.sampled_from(["auto", "blue_green", "rolling", "recreate"]),
    replicas=st.sampled_from([1, 1, 2]),
)
FAILING = ("fails", "fails when done", "disk full", "engine ends", "engine hangs")
ALL = (*FAILING, "killed", "killed when done", "rebooted", "connection breaks")


class RandomWalk(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.stack = contextlib.ExitStack()
        self.walk: Walk = begin(self.stack)
        self.walk.write("ant", Wish("h1", replicas=2))
        self.walk.write("bee", Wish("h2"))
        self.walk.converges()

    def teardown(self) -> None:
        self.stack.close()

    @rule(name=names, wish=wishes)
    def change(self, name: str, wish: Wish) -> None:
        """A new deployment, or another text of one that is there."""
        old = self.walk.wishes.get(name)
        if old is not None:
            wish = replace(wish, host=old.host, length={512: 640, 640: 768, 768: 512}[old.length])
        if name not in self.walk.held:
            self.walk.write(name, wish)

    @precondition(lambda self: self.walk.wishes)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.walk.write(data.draw(st.sampled_from(sorted(self.walk.wishes))), None)

    @rule()
    def apply(self) -> None:
        self.walk.converges()

    @rule(name=names, wish=wishes, at=st.integers(0, 10_000), fault=st.sampled_from(ALL), settled=st.booleans())
    def change_and_meet(self, name: str, wish: Wish, at: int, fault: str, settled: bool) -> None:
        if settled:
            self.walk.converges()
        self.change(name, wish)
        self.meet(at, fault)

    @precondition(lambda self: self.walk.wishes)
    @rule(data=st.data(), at=st.integers(0, 10_000), fault=st.sampled_from(ALL))
    def remove_and_meet(self, data: st.DataObject, at: int, fault: str) -> None:
        self.remove(data)
        self.meet(at, fault)

    @rule(at=st.integers(0, 10_000), fault=st.sampled_from(ALL))
    def apply_and_meet(self, at: int, fault: str) -> None:
        """Whatever is open: often what an earlier fault left."""
        self.meet(at, fault)

    def meet(self, at: int, fault: str) -> None:
        walk = self.walk
        before = walk.serving()
        with walk.fleet() as fleet:
            planned = walk.plan(fleet)
            steps = walk.steps(planned.plan)
            if not steps:
                return
            host, kind, label = steps[at % len(steps)]
            _arm(walk, planned.plan, host, kind, label, fault)
            report = walk.apply(planned)
        if fault == "rebooted":
            walk.hosts[host].reboot()
        walk.mend()
        after = walk.serving()
        context = f"{fault} at {kind} {label!r} on {host}: {report.json()}"
        if fault == "connection breaks":
            assert report.exit_code == 0, context
        for name, units in before.items():
            if name in walk.wishes:
                self._promise(planned.plan, name, units, after.get(name, set()), fault, context)

    def _promise(
        self, plan: Plan, name: str, before: set[tuple[str, str]], after: set[tuple[str, str]], fault: str, context: str
    ) -> None:
        """What served goes on, or what takes its place does."""
        touched = {c.deployment for c in plan.changes} | {name for c in plan.changes if "undo" in c.actions for name in NAMES}
        if name not in touched:
            assert after == before, f"{name} was not part of it: {context}"
        rollout = plan.rollouts.get(name)
        promised = rollout is None or rollout.strategy in ("blue_green", "rolling")
        if any("undo" in c.actions for c in plan.changes):
            return  # what served may be what an unfinished run left, which goes first
        if promised or fault in FAILING or fault == "rebooted":
            assert after, f"{name} serves no more: {context}"

    @rule(silent=hosts, name=names, wish=wishes)
    def change_while_a_host_is_silent(self, silent: str, name: str, wish: Wish) -> None:
        self.change(name, wish)
        walk = self.walk
        before = walk.serving()
        walk.hosts[silent].unreachable = "timeout"
        with walk.fleet() as fleet:
            planned = walk.plan(fleet)
            assert silent not in {c.host for c in planned.plan.changes}, "what is unknown was changed"
            if not planned.plan.refusals:
                assert walk.apply(planned).exit_code == 6
        walk.mend()
        there = {unit for units in walk.serving().values() for unit in units if unit[0] == silent}
        assert there == {unit for units in before.values() for unit in units if unit[0] == silent}

    @precondition(lambda self: set(self.walk.wishes) - set(self.walk.held))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        walk = self.walk
        walk.converges()
        name = data.draw(st.sampled_from(sorted(set(walk.wishes) - set(walk.held))))
        with walk.fleet() as fleet:
            planned = fleet.hold([name], "stopped")
            if planned.plan.refusals:  # it would stop too much of so small a fleet
                return
            assert walk.apply(planned).exit_code == 0
        walk.held[name] = "stopped"
        walk.converges()

    @precondition(lambda self: set(self.walk.wishes) - set(self.walk.held))
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        walk = self.walk
        walk.converges()
        name = data.draw(st.sampled_from(sorted(set(walk.wishes) - set(walk.held))))
        with walk.fleet() as fleet:
            try:
                planned = fleet.rollback(name)
            except Refused:  # there is no other revision
                return
            if planned.plan.refusals:  # its place is somebody else's now
                return
            assert walk.apply(planned).exit_code == 0
        walk.held[name] = "rolled-back"
        walk.converges()

    @precondition(lambda self: self.walk.held)
    @rule()
    def release(self) -> None:
        walk = self.walk
        with walk.fleet() as fleet:
            gone = tuple(sorted(walk.gone))
            planned = fleet.plan(Options(release=tuple(sorted(walk.held)), prune_approved=gone, allow=True))
            assert walk.apply(planned).exit_code == 0
        walk.held.clear()
        walk.converges()

    @invariant()
    def what_must_hold(self) -> None:
        if hasattr(self, "walk"):
            self.walk.check()


def _arm(walk: Walk, plan: Plan, host: str, kind: str, label: str, fault: str) -> None:
    faults = walk.hosts[host].faults
    if fault == "fails":
        faults.fail(kind, label, times=1)
    elif fault == "fails when done":
        faults.fail(kind, label, when="after", times=1, error=StepFailed("failed when it was done"))
    elif fault == "disk full":
        faults.fail(kind, label, error=OSError(errno.ENOSPC, "No space left on device", "/var/lib/deployer"), times=1)
    elif fault == "killed":
        faults.kill(kind, label)
    elif fault == "killed when done":
        faults.kill(kind, label, when="after")
    elif fault == "rebooted":
        faults.cut_power(kind, label)
    elif fault == "connection breaks":
        faults.cut_after = 5
    else:
        started = {c.after.payload["unit"] for c in plan.changes if c.kind == "replica" and c.after is not None}
        for unit in started - {unit for units in walk.serving().values() for _, unit in units}:
            walk.hosts[host].break_engine(unit, "RuntimeError: it fails", hangs=fault == "engine hangs")


def test_a_random_walk_over_fleets_and_faults() -> None:
    how = settings(
        max_examples=WALKS or 6,
        stateful_step_count=20 if WALKS else 8,
        derandomize=not WALKS,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate],  # to make a red walk shorter would take minutes: each step of it is an apply
    )
    run_state_machine_as_test(RandomWalk, settings=how)
