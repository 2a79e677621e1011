"""`deployer doctor`: every finding of the preflight, for the whole fleet as it stands, and those that take time on the hosts:
which addresses answer from there. Touches nothing. Called by the command line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployer.app import judging
from deployer.app.collector import collector_waits
from deployer.app.gitfacts import read_git
from deployer.app.planning import probe_held
from deployer.app.worlds import commits, make_world
from deployer.errors import LockfileError
from deployer.plan import preflight
from deployer.plan.make import make_plan
from deployer.plan.model import Finding, Notice, Plan
from deployer.plan.preflight import ways
from deployer.plan.preflight.finding import REFUSE, WARN, by_place, everything
from deployer.plan.preflight.subject import subjects
from deployer.plan.roster import from_json
from deployer.plan.world import Options, World
from deployer.state.locked import Locked
from deployer.state.observed import Observed, Unreached

if TYPE_CHECKING:
    from deployer.agent.wire import Answer, Way
    from deployer.app.fleet import Fleet

#: Notices of a plan that are findings by nature.
_NOTICES = {
    "certificate": "clients stop trusting the gateway",
    "deprecated": "a coming version of the engine drops it",
    "fit": "the engine may end with an out-of-memory error at its start",
    "secret": "apply stops before it changes anything",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """`asked`: the addresses that each host was asked to reach; `answers`: what those said that answered. Who was lost meanwhile
    is Unreached in `observed`. `locked`: deployer.lock is there and says all that the files want.
    """

    findings: tuple[Finding, ...]
    observed: Observed
    asked: Mapping[str, Sequence[ways.Way]] = field(default_factory=dict)
    answers: "Mapping[str, Sequence[Answer]]" = field(default_factory=dict)
    locked: bool = True

    @property
    def refused(self) -> int:
        return sum(1 for f in self.findings if f.severity == REFUSE)

    @property
    def unreachable(self) -> tuple[str, ...]:
        return tuple(name for name, found in self.observed.items() if isinstance(found, Unreached))


def examine(fleet: "Fleet", hosts: Sequence[str] = (), *, quick: bool = False) -> Examined:
    """`hosts`: only what is about these; all are asked all the same, since places depend on all. `quick`: no host asks the hub
    or an index, and no engine is asked about options.
    """
    fleet.known(hosts=hosts)
    observed = probe_held(fleet)
    world, locked, lock = _world(fleet, observed)
    with collector_waits():
        plan = make_plan(world) if locked else None
    if plan is not None and not quick:
        plan = judging.judged(fleet, plan, observed)
    places = from_json(plan.roster).places if plan is not None else ()
    found = [*lock, *preflight.of_fleet(world, places), *(_of_plan(plan) if plan is not None else ())]
    asked: dict[str, list[ways.Way]] = {}
    answers: dict[str, list[Answer]] = {}
    silent: dict[str, Unreached] = {}
    if plan is not None and not quick:
        asked = ways.ways(world, subjects(world, places), plan.changes)
        asked = {host: mine for host, mine in asked.items() if not hosts or host in hosts}
        answers, silent = _ask(fleet, asked)
        found += ways.findings(asked, answers)
    shown = {name: silent.get(name, one) for name, one in observed.items() if not hosts or name in hosts}
    about = (f for f in found if not hosts or f.host in hosts or f.id == "lock")
    return Examined(by_place(about), shown, asked, answers, locked)


def _world(fleet: "Fleet", observed: Observed) -> tuple[World, bool, list[Finding]]:
    """Without a lock only what concerns the machines can be said."""
    found: list[Finding] = []
    try:
        locked = fleet.locked()
    except LockfileError as error:
        locked = Locked()
        why = "what is pinned cannot be held against the hosts, so only the machines themselves were looked at"
        found.append(Finding("lock", REFUSE, error.what, why, error.hint or "deployer lock"))
    git = read_git(fleet.root, commits(observed))
    world = make_world(fleet.loaded, locked, observed, fleet.secrets, Options(), who=fleet.who, git=git)
    return world, not found, found


def _of_plan(plan: Plan) -> Iterable[Finding]:
    """What an apply that was planned now would be refused for, or warned of."""
    yield from everything(plan)
    for notice in plan.notices:
        if notice.code in _NOTICES:
            yield _of_notice(notice)


def _of_notice(notice: Notice) -> Finding:
    where = (notice.host, notice.deployment, notice.source)
    return Finding(notice.code, WARN, notice.what, _NOTICES[notice.code], notice.hint or "", *where)


def _ask(fleet: "Fleet", asked: Mapping[str, Sequence[ways.Way]]) -> "tuple[dict[str, list[Answer]], dict[str, Unreached]]":
    """What the hosts say, and those that were lost while they asked."""
    from deployer.execute.reach import reach_hosts

    wanted = {host: [_way(fleet, way) for way in mine] for host, mine in asked.items() if mine}
    said = reach_hosts(fleet.pool, fleet.spec, wanted)
    silent = {host: answer for host, answer in said.items() if isinstance(answer, Unreached)}
    return {host: answer for host, answer in said.items() if not isinstance(answer, Unreached)}, silent


def _way(fleet: "Fleet", way: ways.Way) -> "Way":
    token = fleet.secrets.reveal(way.token) if way.token is not None else None
    return {"id": way.id, "url": way.url, "token": token}


def as_json(found: Examined) -> dict[str, Any]:
    from deployer.plan.codec import finding_json

    return {
        "hosts": [_host_json(found, name) for name in sorted(found.observed)],
        "findings": [finding_json(f) for f in found.findings],
        "summary": {"refuse": found.refused, "warn": len(found.findings) - found.refused},
    }


def _host_json(found: Examined, name: str) -> dict[str, Any]:
    host = found.observed[name]
    if isinstance(host, Unreached):
        return {"name": name, "reachable": False, "error": host.message, "hint": host.hint, "ways": []}
    told = {answer["id"]: answer for answer in found.answers.get(name, ())}
    said = [
        {"kind": way.kind, "address": way.shown, "about": way.about or None, **_answered(told.get(way.id))}
        for way in found.asked.get(name, ())
    ]
    return {"name": name, "reachable": True, "error": None, "hint": None, "ways": said}


def _answered(answer: "Answer | None") -> dict[str, Any]:
    if answer is None:
        return {"state": "unknown", "status": None, "ms": None}
    return {"state": answer["state"], "status": answer.get("status"), "ms": answer["ms"]}
