"""The revisions of a deployment as the hosts remember them, what differs between two, and which one a rollback means. Pure.
Used by `history`, `rollback` and the terminal UI. Revisions hold their resources when the probe asked for them (its `history`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deployer.errors import Refused, UsageError
from deployer.plan.diff import FILES, deltas
from deployer.plan.filetexts import FileText, differing
from deployer.plan.model import Delta
from deployer.plan.record import resource_from
from deployer.state.observed import Observed, Reached
from deployer.state.resources import Kind, Resource


@dataclass(frozen=True, slots=True)
class Revision:
    """`at` is ISO 8601, UTC. `current`: the one that stands on a host now. `resources`: of all its hosts."""

    number: int
    at: str | None
    who: str | None
    why: str | None
    commit: str | None
    hosts: tuple[str, ...]
    current: bool
    resources: tuple[Resource, ...] = ()
    repeats: int | None = None  # the earlier revision that a rollback made it of
    beside: int | None = None  # a canary of something new stood beside this earlier revision


@dataclass(frozen=True, slots=True)
class Difference:
    """One resource of one host. `verb`: create, delete or update, from the older revision to the newer."""

    host: str
    address: str
    verb: str
    deltas: tuple[Delta, ...]
    files: tuple[FileText, ...]


def revisions(observed: Observed, name: str, *, whole: bool = False) -> tuple[Revision, ...]:
    """Newest first. `whole`: with their resources, as far as the probe has them."""
    found: dict[int, Revision] = {}
    for host, reached in sorted(observed.items()):
        if not isinstance(reached, Reached):
            continue
        record = reached.probe.get("records", {}).get(name)
        entries: list[Mapping[str, Any]] = list(reached.probe.get("history", {}).get(name, ()))
        if record and record.get("revision") not in {entry.get("revision") for entry in entries}:
            entries.append(record)
        for entry in entries:
            current = record is not None and record.get("revision") == entry.get("revision")
            one = _read(entry, host, current=current, whole=whole)
            found[one.number] = _joined(found[one.number], one) if one.number in found else one
    return tuple(found[number] for number in sorted(found, reverse=True))


def _read(entry: Mapping[str, Any], host: str, *, current: bool, whole: bool) -> Revision:
    return Revision(
        number=int(entry.get("revision", 0)),
        at=entry.get("at"),
        who=entry.get("who"),
        why=entry.get("why"),
        commit=entry.get("git_commit"),
        hosts=(host,),
        current=current,
        resources=tuple(resource_from(one) for one in entry.get("resources", ())) if whole else (),
        repeats=entry.get("repeats"),
        beside=(entry.get("canary") or {}).get("base"),
    )


def _joined(one: Revision, other: Revision) -> Revision:
    """The same number on two hosts."""
    return replace(
        one,
        hosts=(*one.hosts, *other.hosts),
        current=one.current or other.current,
        resources=(*one.resources, *other.resources),
    )


def difference(before: Revision, after: Revision) -> tuple[Difference, ...]:
    """What differs, resource by resource; nothing for those that are the same."""
    old = {(r.host, r.address): r for r in before.resources}
    new = {(r.host, r.address): r for r in after.resources}
    found = [_differing(old.get(key), new.get(key)) for key in sorted({*old, *new})]
    return tuple(one for one in found if one is not None)


def _differing(old: Resource | None, new: Resource | None) -> Difference | None:
    there = new or old
    assert there is not None
    bare = there._replace(attributes=())
    told = tuple(d for d in deltas(old or bare, new or bare) if d.name != FILES and d.before != d.after)
    files = differing(old, new)
    if old is not None and new is not None and not told and not files:
        return None
    verb = "create" if old is None else "delete" if new is None else "update"
    return Difference(there.host, there.address, verb, told, files)


def choose(observed: Observed, name: str, wanted: int | None = None) -> int:
    """The revision that a rollback goes to: `wanted`, or the last one before the current that answered and was something
    else. Revisions are recorded once they answered; one that was stopped did not. Raises UsageError or Refused.
    """
    known = revisions(observed, name, whole=True)
    numbers = [one.number for one in known]
    silent = sorted(host for host, found in observed.items() if not isinstance(found, Reached))
    also = f"; {', '.join(silent)} did not answer" if silent else ""
    if wanted is not None:
        if wanted not in numbers:
            there = ", ".join(map(str, sorted(numbers))) or "none"
            raise UsageError(f"no host that answered remembers revision {wanted} of {name}", hint=f"there is: {there}{also}")
        beside = next(one.beside for one in known if one.number == wanted)
        if beside is not None:
            what = f"revision {wanted} of {name} was a canary beside revision {beside}, and nothing to go back to"
            raise UsageError(what, hint=f"deployer rollback {name} {beside}")
        return wanted
    current = max((one for one in known if one.current), key=lambda one: one.number, default=None)
    if current is None:
        raise Refused(
            f"{name} has nothing to go back from: it is not deployed{also}", where=name, hint=f"deployer history {name}"
        )
    base = current.repeats or current.number
    for one in known:
        then = _at(known, one.number) if one.number < base and one.beside is None else None
        if then is not None and _answered(then) and difference(then, _at(known, base)):
            return one.number
    what = f"{name} has no earlier revision that answered and is something else{also}"
    raise Refused(what, where=name, hint=f"deployer history {name} shows what there is")


def _answered(one: Revision) -> bool:
    replicas = [r for r in one.resources if r.kind is Kind.REPLICA]
    return bool(replicas) and all(r.runs for r in replicas)


def _at(known: tuple[Revision, ...], number: int) -> Revision:
    """The whole deployment at this number: of each host what stood there then."""
    found: dict[str, tuple[Resource, ...]] = {}
    for one in sorted((r for r in known if r.number <= number), key=lambda r: r.number):
        for host in one.hosts:
            found[host] = tuple(r for r in one.resources if r.host == host)
    mine = next(one for one in known if one.number == number)
    return replace(mine, resources=tuple(r for host in sorted(found) for r in found[host]))
