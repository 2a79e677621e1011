"""How a fleet's plan is made: the hosts are asked while the lock is read and the planner is loaded. Called by Fleet.plan."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from deployer.app import judging
from deployer.app.collector import collector_waits
from deployer.app.planned import Planned, holds
from deployer.errors import LockfileError
from deployer.execute.fanout import beside
from deployer.plan.world import Options
from deployer.state.locked import Locked
from deployer.state.observed import Observed

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet


def make(fleet: "Fleet", options: Options, observed: Observed | None, *, judged: bool = True) -> Planned:
    """`observed`: what the hosts answered, where they were asked already. `judged`: engines are asked about changed options."""
    held = {*(hold.deployment for hold in options.holds), *options.prune_approved}
    named = (*(() if options.scoped else options.names), *options.explain)
    fleet.known(deployments=(name for name in named if name not in held), hosts=options.hosts, tags=options.tags)
    asked = beside(lambda: _timed(lambda: probe_held(fleet))) if observed is None else None
    # while the hosts answer: the lock is read, the planner is loaded
    locked = _locked_for(fleet, options)
    from deployer.app.gitfacts import read_git
    from deployer.app.worlds import commits, make_world
    from deployer.plan.make import make_plan
    from deployer.plan.subset import by_hosts

    seconds: float | None = None
    if asked is not None:
        observed, seconds = asked()
    assert observed is not None
    git = read_git(fleet.root, commits(observed))
    world = make_world(fleet.loaded, locked, observed, fleet.secrets, options, who=fleet.who, git=git)
    with collector_waits():
        plan = make_plan(world)
    if options.hosts:
        plan = by_hosts(plan, options.hosts)
    if judged:
        plan = judging.judged(fleet, plan, observed)
    return Planned(fleet, fleet.secrets.say_absent(plan), seconds, git.branch, holds(options, plan))


def probe_held(fleet: "Fleet") -> Observed:
    """All hosts; asked again for the revisions that deployments are held at, where those do not stand there yet."""
    from deployer.plan.rolledback import lacking

    observed = fleet.probe()
    held = lacking(observed)
    return fleet.probe(history=held) if held else observed


def _timed(probe: Callable[[], Observed]) -> tuple[Observed, float]:
    began = time.monotonic()
    return probe(), time.monotonic() - began


def _locked_for(fleet: "Fleet", options: Options) -> Locked:
    """A rollback needs nothing of the lock: one that is behind the files, or missing, does not keep it from working."""
    try:
        return fleet.locked()
    except LockfileError:
        if not options.names or {hold.deployment for hold in options.holds if hold.revision} != set(options.names):
            raise
        from deployer.app.locking import existing_lock

        return existing_lock(fleet.root)
