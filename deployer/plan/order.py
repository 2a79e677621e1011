"""The order in which changes are done, and what each one needs before it. A replica needs its artifacts, a model that is
copied the one it is copied from, an endpoint its replicas, also those on other hosts, and the note of a revision everything of
that deployment on that host. What of a deployment goes needs what of it is made, on any host: a replica that moves stops only
where the other one started.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deployer.plan.aftermath import OF_DEPLOYMENT
from deployer.plan.model import Change
from deployer.state.resources import ARTIFACTS, Kind

_ORDER = {kind: i for i, kind in enumerate(Kind)}


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
        return [self.changes[number].id for number in sorted([n for a in set(addresses) for n in self.made.get(a, ())])]


def ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Unfinished runs first, then what is made, in the order of the kinds, then what is removed, in the opposite order."""
    sorted_changes = sorted(changes, key=_key)
    by_host: dict[str, Here] = {}
    replicas: dict[str | None, list[str]] = {}  # deployment → ids of the changes that make its replicas, on any host
    new: dict[str | None, list[str]] = {}  # of them, those where none stood: a route may lead to another host because of them
    routes: dict[str | None, list[str]] = {}  # the same for its routes
    made: dict[tuple[str, str], str] = {}  # models that a host converts, maybe for others: (host, address) → id
    for change in sorted_changes:
        here = by_host.get(change.host)
        if here is None:
            here = by_host[change.host] = Here()
        here.add(change)
        if change.kind is Kind.REPLICA and change.after is not None:
            replicas.setdefault(change.deployment, []).append(change.id)
            new.setdefault(change.deployment, []).extend([change.id] if change.before is None else ())
        if change.kind is Kind.MODEL and change.after is not None and change.after.payload.get("method") == "convert":
            made[change.host, change.address] = change.id
        if change.kind is Kind.ENDPOINT and change.after is not None:
            routes.setdefault(change.deployment, []).append(change.id)
    needs = ((c, _needs(c, by_host[c.host], replicas, new, routes, made)) for c in sorted_changes)
    return tuple(c._replace(depends_on=found) if found != c.depends_on else c for c, found in needs)


def _key(change: Change) -> tuple[str, int, int, bool, str, str]:
    if change.kind is None:
        return (change.host, 0, 0, False, "", change.name)
    rank = _ORDER[change.kind]
    if change.after is None:
        last = change.before is not None and "agent" in change.before.payload
        return (change.host, 3 if last else 2, -rank, False, change.deployment or "", change.name)
    own = f"{change.kind}:"
    made_of_another = any([need.startswith(own) for need in change.after.needs])  # a converted model
    return (change.host, 1, rank, made_of_another, change.deployment or "", change.name)


def _needs(
    change: Change,
    here: Here,
    replicas: Mapping[str | None, list[str]],
    new: Mapping[str | None, list[str]],
    routes: Mapping[str | None, list[str]],
    made: Mapping[tuple[str, str], str],
) -> tuple[str, ...]:
    if change.kind is None:
        return ()
    found = list(here.unfinished)
    if change.kind is Kind.FOREIGN and change.before is not None:
        found += [c.id for c in here.changes if c.after is not None and c.deployment == change.before.payload["deployment"]]
    if change.after is None:
        if change.kind in ARTIFACTS or change.kind in (Kind.GATEWAY, Kind.PACKAGE):
            found += [c.id for c in here.changes if c.after is None and c is not change and _before(c, change)]
        elif change.kind in OF_DEPLOYMENT:
            found += [*replicas.get(change.deployment, []), *routes.get(change.deployment, [])]
        return tuple(found)
    found += here.making(change.after.needs)
    giver = made.get((change.after.payload.get("from", ""), change.address)) if change.kind is Kind.MODEL else None
    found += [giver] if giver else []
    if change.kind is Kind.ENDPOINT:
        found += new.get(change.deployment, [])
    if change.beside:  # and the other way round: the old one must not stop while the route leads to it
        found += [c.id for c in here.changes if c.kind is Kind.ENDPOINT and c.deployment == change.deployment]
    return tuple(dict.fromkeys(found))


def _before(first: Change, then: Change) -> bool:
    if first.kind is None or then.kind is None:
        return first.kind is None
    if "agent" in (then.before.payload if then.before else {}):
        return True
    return _ORDER[first.kind] > _ORDER[then.kind]
