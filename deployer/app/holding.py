"""Plans of what a person wants although the files say otherwise: holds, a rollback, cordons. And gc, which goes by what is held.
Called by Fleet's methods of these names.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from deployer.app.known import known
from deployer.app.moments import moment
from deployer.app.planned import Planned
from deployer.app.planning import probe_held
from deployer.plan.retention import collectable, without_roster
from deployer.plan.revisions import choose
from deployer.plan.roster import ROLLED_BACK, latest
from deployer.plan.world import CordonRequest, HoldRequest, Options
from deployer.state.observed import Observed

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet


def hold(fleet: "Fleet", names: Sequence[str], kind: str | None, why: str | None, until: str | None, allow: bool) -> Planned:
    until = moment(until)
    observed = probe_held(fleet)
    _remembered(fleet, names, observed)
    held = tuple(HoldRequest(name, kind, fleet.who, why, until) for name in names if name in fleet.spec.deployments)
    gone = tuple(name for name in names if name not in fleet.spec.deployments) if kind == "destroyed" else ()
    options = Options(names=tuple(names), holds=held, prune_approved=gone, prune=kind == "destroyed", allow=allow)
    return fleet.plan(options, observed=observed)


def _remembered(fleet: "Fleet", names: Iterable[str], observed: Observed) -> None:
    """A deployment that only the hosts remember is known too."""
    everything = {*fleet.spec.deployments, *(place.deployment for place in latest(observed).places)}
    known("deployment", names, sorted(everything))


def rollback(fleet: "Fleet", name: str, revision: int | None, why: str | None, until: str | None) -> Planned:
    return back(fleet, name, revision, why, moment(until))


def back(fleet: "Fleet", name: str, revision: int | None, why: str | None, until: str | None) -> Planned:
    """As rollback. `until`: as the roster keeps it; also a moment that is over, for one that is to hold nothing."""
    fleet.known(deployments=(name,))
    observed = fleet.probe(history=(name,))
    held = HoldRequest(name, ROLLED_BACK, fleet.who, why, until, choose(observed, name, revision))
    return fleet.plan(Options(names=(name,), holds=(held,)), observed=observed)


def gc(fleet: "Fleet", names: Sequence[str], hosts: Sequence[str]) -> Planned:
    fleet.known(deployments=names, hosts=hosts)
    observed = fleet.probe(history=sorted(fleet.spec.deployments))
    planned = fleet.plan(Options(names=tuple(names), hosts=tuple(hosts), gc=True), observed=observed)
    part = planned.only(collectable)
    return Planned(fleet, without_roster(part.plan), part.seconds, part.branch)


def cordon(fleet: "Fleet", hosts: Sequence[str], kind: str | None, why: str | None = None, until: str | None = None) -> Planned:
    """`kind`: "cordoned", "drained"; None: the end of both."""
    ends = moment(until)
    observed = probe_held(fleet)
    roster = latest(observed)
    everything = {*fleet.spec.hosts, *(roster.cordons if kind is None else ())}
    known("host", hosts, sorted(everything))
    moving = sorted({p.deployment for p in roster.places if p.host in hosts}) if kind == "drained" else []
    wanted = tuple(CordonRequest(host, kind, fleet.who, why, ends) for host in hosts)
    return fleet.plan(Options(names=tuple(moving), cordons=wanted, scoped=True), observed=observed)
