"""Follows an apply that runs on the hosts without us: after a dropped laptop, or from another one. Called by app.

It opens the barriers as the apply that began it would have done. Files are brought when the plan is kept here and they are
at hand; from another machine the run waits for them in vain, and says so.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from deployer.errors import DeployerError
from deployer.execute.events import Event, Report
from deployer.execute.feeding import feed
from deployer.execute.follow import Control, Follower
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.push import BlobSource
from deployer.execute.reporting import make_report
from deployer.plan import steps
from deployer.plan.model import Plan
from deployer.spec.models import FleetSpec
from deployer.state.observed import Observed, Reached


@dataclass(frozen=True, slots=True)
class Running:
    """An apply that is alive: its name, who began it, since when, the id of its plan, and the run on each host."""

    run: str
    who: str
    since: str
    plan: str
    hosts: dict[str, str]


def base(run: str) -> str:
    """The apply that a run belongs to: a host that had to begin again has "<apply>-2"."""
    return "-".join(run.split("-")[:2])


def running(observed: Observed) -> list[Running]:
    """Every apply of this fleet that is alive on a host, oldest first."""
    found: dict[str, Running] = {}
    for host, reached in sorted(observed.items()):
        if not isinstance(reached, Reached):
            continue
        for run in reached.probe.get("unfinished", ()):
            if run.get("alive"):
                name = base(str(run["run"]))
                who, since, plan = (str(run.get(key) or "") for key in ("who", "since", "plan"))
                one = found.setdefault(name, Running(name, who, since, plan, {}))
                one.hosts[host] = str(run["run"])
    return sorted(found.values(), key=lambda one: one.since)


def attach(
    one: Running,
    pool: Pool,
    fleet: FleetSpec,
    on_event: Callable[[Event], None],
    control: Control,
    plan: Plan | None = None,
    blobs: BlobSource | None = None,
    patience: Patience | None = None,
) -> Report:
    """Follow to the end and report, as the apply itself would have. With the `plan` and `blobs` at hand, what the runs
    still wait for is brought too.
    """
    if not one.hosts:
        raise DeployerError("nothing is running", hint="deployer status shows what stands")
    began = time.monotonic()
    patience = patience or Patience()
    follower = Follower(pool, on_event, control, patience)
    for host, run in one.hosts.items():
        request = {"fleet": {"id": fleet.id, "name": fleet.name}, "run": run, "offset": 0}
        follower.begin(host, "attach", request)
        if plan is not None and blobs is not None:
            feed(follower, pool, plan, host, blobs, patience)
    follower.conduct(lambda host: None)
    nothing = Plan(one.plan, fleet.id, fleet.name, fleet.environment, None, "")
    requests = {host: {"transactions": steps.transactions(plan, host)} for host in one.hosts} if plan is not None else {}
    return make_report(one.run, nothing, follower, requests, {}, began)
