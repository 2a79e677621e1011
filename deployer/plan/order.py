"""The order in which changes are done, and what each one needs before it. A replica needs its artifacts, a model that is
copied the one it is copied from, an endpoint its replicas, also those on other hosts, and the note of a revision everything of
that deployment on that host. What of a deployment goes needs what of it is made, on any host: a replica that moves stops only
where the other one started.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from deployer.plan.aftermath import OF_DEPLOYMENT
from deployer.plan.model import Change
from deployer.state.resources import ARTIFACTS, Kind, Resource

_ORDER = {kind: i for i, kind in enumerate(Kind)}
# looked up once: each change of a plan is asked for its kind, and Python 3.11 finds the member of an enum slowly
_MODEL, _REPLICA, _ENDPOINT, _FOREIGN = Kind.MODEL, Kind.REPLICA, Kind.ENDPOINT, Kind.FOREIGN
_OF_MODEL = f"{Kind.MODEL}:"


@dataclass(slots=True)
class Here:
    """All changes of one host, in their order; of those that make something, the numbers in that order by address."""

    changes: list[Change] = field(default_factory=list)
    made: dict[str, list[int]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)  # ids of runs that are undone first

    def add(self, change: Change) -> None:
        if change.kind is None:
            self.unfinished.append(change.id)
        if change.after is not None:
            self.made.setdefault(change.address, []).append(len(self.changes))
        self.changes.append(change)

    def making(self, addresses: Iterable[str]) -> list[str]:
        """Ids of the changes that make these."""
        made, changes = self.made, self.changes
        return [changes[number].id for number in sorted({n for a in addresses for n in made.get(a, ())})]


@dataclass(slots=True)
class Everywhere:
    """Ids of changes that others on any host may need, by deployment."""

    replicas: dict[str | None, list[str]] = field(default_factory=dict)  # those that make its replicas
    new: dict[str | None, list[str]] = field(default_factory=dict)  # of them, those where none stood: a route may lead there
    routes: dict[str | None, list[str]] = field(default_factory=dict)  # those that make its routes
    models: dict[tuple[str, str], str] = field(default_factory=dict)  # by host and address: what is converted, maybe for others

    def add(self, change: Change, made: Resource) -> None:
        if change.kind is _REPLICA:
            self.replicas.setdefault(change.deployment, []).append(change.id)
            if change.before is None:
                self.new.setdefault(change.deployment, []).append(change.id)
        elif change.kind is _ENDPOINT:
            self.routes.setdefault(change.deployment, []).append(change.id)
        elif change.kind is _MODEL and made.payload.get("method") == "convert":
            self.models[change.host, change.address] = change.id


def ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Unfinished runs first, then what is made, in the order of the kinds, then what is removed, in the opposite order."""
    sorted_changes = sorted(changes, key=_key)
    by_host: dict[str, Here] = {}
    everywhere = Everywhere()
    for change in sorted_changes:
        here = by_host.get(change.host)
        if here is None:
            here = by_host[change.host] = Here()
        here.add(change)
        if change.after is not None:
            everywhere.add(change, change.after)
    needs = ((c, _needs(c, by_host[c.host], everywhere)) for c in sorted_changes)
    return tuple([c._replace(depends_on=found) if found != c.depends_on else c for c, found in needs])


def _key(change: Change) -> tuple[str, int, int, bool, str, str]:
    kind, after = change.kind, change.after
    if kind is None:
        return (change.host, 0, 0, False, "", change.name)
    rank = _ORDER[kind]
    if after is None:
        last = change.before is not None and "agent" in change.before.payload
        return (change.host, 3 if last else 2, -rank, False, change.deployment or "", change.name)
    made_of_another = kind is _MODEL and any([need.startswith(_OF_MODEL) for need in after.needs])  # a converted one
    return (change.host, 1, rank, made_of_another, change.deployment or "", change.name)


def _needs(change: Change, here: Here, everywhere: Everywhere) -> tuple[str, ...]:
    kind, after = change.kind, change.after
    if kind is None:
        return ()
    found = list(here.unfinished)
    if kind is _FOREIGN and change.before is not None:
        found += [c.id for c in here.changes if c.after is not None and c.deployment == change.before.payload["deployment"]]
    if after is None:
        return (*found, *_before_it_goes(change, kind, here, everywhere))
    if after.needs:
        found += here.making(after.needs)
    if kind is _MODEL:
        giver = everywhere.models.get((after.payload.get("from", ""), change.address))
        found += [giver] if giver else []
    elif kind is _ENDPOINT:
        found += everywhere.new.get(change.deployment, [])
    if change.beside:  # and the other way round: the old one must not stop while the route leads to it
        found += [c.id for c in here.changes if c.kind is _ENDPOINT and c.deployment == change.deployment]
    return tuple(dict.fromkeys(found))


def _before_it_goes(change: Change, kind: Kind, here: Here, everywhere: Everywhere) -> list[str]:
    if kind in ARTIFACTS or kind in (Kind.GATEWAY, Kind.PACKAGE):
        return [c.id for c in here.changes if c.after is None and c is not change and _before(c, change)]
    if kind in OF_DEPLOYMENT:
        return [*everywhere.replicas.get(change.deployment, []), *everywhere.routes.get(change.deployment, [])]
    return []


def _before(first: Change, then: Change) -> bool:
    if first.kind is None or then.kind is None:
        return first.kind is None
    if "agent" in (then.before.payload if then.before else {}):
        return True
    return _ORDER[first.kind] > _ORDER[then.kind]
