"""Follows an apply that runs on the hosts without us: after a dropped laptop, or from another one. Called by app.

It opens the barriers as the apply that began it would have done; files that only that
one's machine has it cannot bring.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from deployer.errors import DeployerError
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control, Follower
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.reporting import make_report
from deployer.plan.model import Plan
from deployer.spec.models import FleetSpec
from deployer.state.observed import Observed, Reached


@dataclass(frozen=True, slots=True)
class Running:
    """An apply that is alive: its name, who began it, since when, and the run on each host."""

    run: str
    who: str
    since: str
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
                one = found.setdefault(name, Running(name, str(run.get("who", "")), str(run.get("since", "")), {}))
                one.hosts[host] = str(run["run"])
    return sorted(found.values(), key=lambda one: one.since)


def attach(
    one: Running,
    pool: Pool,
    fleet: FleetSpec,
    on_event: Callable[[Event], None],
    control: Control,
    patience: Patience | None = None,
) -> Report:
    """Follow to the end and report, as the apply itself would have."""
    if not one.hosts:
        raise DeployerError("nothing is running", hint="deployer status shows what stands")
    began = time.monotonic()
    follower = Follower(pool, on_event, control, patience or Patience())
    for host, run in one.hosts.items():
        request = {"fleet": {"id": fleet.id, "name": fleet.name}, "run": run, "offset": 0}
        follower.begin(host, "attach", request)
    follower.conduct(lambda host: None)
    nothing = Plan("", fleet.id, fleet.name, fleet.environment, None, "")
    return make_report(one.run, nothing, follower, {}, {}, began)
