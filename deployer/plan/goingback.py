"""What a rollback must find on the hosts, and what it means for the files: the noes, the notes, the values to change in git.
Pure. Called by make; `edits` also by app, which can write them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.plan.model import Change, Notice, Refusal
from deployer.plan.record import resource_from
from deployer.plan.rolledback import Held, Rolled
from deployer.plan.room import WHOLE, claimed, foreign
from deployer.plan.roster import Place
from deployer.plan.words import count
from deployer.plan.world import World
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from deployer.spec.tree import plain
from deployer.state.observed import Reached
from deployer.state.resources import Kind

#: What stands for a value that a side does not have.
ABSENT = "(not set)"
#: So many values are named in a note.
TOLD = 12


@dataclass(frozen=True, slots=True)
class Edit:
    """One value of a deployment's YAML that differs: `now` in the files, `then` in the revision; ABSENT where it is not
    written. `source`: where it stands now, or its nearest parent.
    """

    path: tuple[str, ...]
    now: Any
    then: Any
    source: Source | None = None

    @property
    def text(self) -> str:
        return f"{'.'.join(self.path)}: {_shown(self.now)} → {_shown(self.then)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def specs(world: World, rolled: Rolled, changes: Iterable[Change]) -> dict[str, Mapping[str, Any]]:
    """What the files say of each deployment that changes; of one that goes back or is held, what they said then."""
    found: dict[str, Mapping[str, Any]] = {}
    changing = {c.deployment for c in changes if c.deployment and c.after is not None}
    for name in sorted({*changing, *(one.name for one in rolled.held.values() if one.asked)}):
        said = rolled.held[name].newest.get("spec") if name in rolled.held else spec_of(world.positions, name)
        if said is not None:
            found[name] = said
    return found


def spec_of(positions: Positions, name: str) -> Mapping[str, Any] | None:
    """The YAML of a deployment with what it extends; secrets are references there."""
    tree = positions.trees.get(f"deployment:{name}")
    return None if tree is None else dict(plain(tree))


def edits(world: World, held: Held) -> tuple[Edit, ...] | None:
    """What would make the files say the same as the revision; None when it was noted before revisions knew their YAML."""
    then = held.newest.get("spec")
    if then is None or spec_of(world.positions, held.name) is None:
        return None
    return differing(world.positions, held.name, then)


def differing(positions: Positions, name: str, then: Mapping[str, Any]) -> tuple[Edit, ...]:
    """Value by value, what the files say of a deployment and what they said `then`."""
    return tuple(_edits(positions, f"deployment:{name}", spec_of(positions, name) or {}, then, ()))


def _edits(
    positions: Positions, document: str, now: Mapping[str, Any], then: Mapping[str, Any], above: tuple[str, ...]
) -> Iterable[Edit]:
    for key in sorted({*now, *then}):
        path = (*above, str(key))
        one, other = now.get(key, ABSENT), then.get(key, ABSENT)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _edits(positions, document, one, other, path)
        elif one != other:
            yield Edit(path, one, other, positions.of(document, *path))


# notes


def notices(world: World, rolled: Rolled) -> list[Notice]:
    found = [_held(world, one) for one in rolled.held.values()]
    for one in rolled.ended:
        what = f"{one.name}: the files say the same as revision {one.number}, so nothing holds it there any more"
        found.append(Notice("hold", what, deployment=one.name))
    return found


def _held(world: World, one: Held) -> Notice:
    hold, number = one.hold, one.number
    why = f" ({hold.why})" if hold.why else ""
    what = f"{one.name} is held at revision {number} by {hold.who} since {hold.at}{why}"
    if one.asked:
        what = f"{one.name} goes back to revision {number}{_made(one)} and is held there by {hold.who}{why}"
    lines = _in_git(world, one)
    return Notice("hold", what, "\n".join([*lines, f"to lift it: deployer apply --release {one.name}"]), deployment=one.name)


def _made(one: Held) -> str:
    """Who made it and when; not of a record that only repeats it."""
    note = next((n for n in one.notes.values() if n.get("revision") == one.number), {})
    return f" (of {note['at']}, by {note['who']})" if note.get("at") and note.get("who") else ""


def _in_git(world: World, one: Held) -> list[str]:
    """What ends the hold by itself: the values in which the files differ from the revision."""
    found = edits(world, one)
    if found is None:
        return ["it ends by itself when the files say the same; what they said then was not noted"]
    if not found:
        return ["the YAML says the same; the lock, a script or our own version says otherwise"]
    lines = [f"{edit.source or ''}  {edit.text}".strip() for edit in found[:TOLD]]
    lines += [f"and {count(len(found) - TOLD, 'more value')}"] if len(found) > TOLD else []
    return ["it ends by itself when git says this again (deployer rollback --write):", *(f"  {line}" for line in lines)]


# noes


def refusals(world: World, rolled: Rolled, others: Sequence[Place], changes: Sequence[Change]) -> list[Refusal]:
    """Only for what would start now: what stands as the revision says needs no proof."""
    found: list[Refusal] = []
    for one in rolled.held.values():
        starts = [c for c in changes if c.deployment == one.name and _starts(c)]
        found += _not_whole(world, one, starts)
        taken = [place for place in others if place.deployment != one.name]
        taken += [place for name, other in rolled.held.items() if name != one.name for place in other.places]
        for change in starts:
            found += [*_gone(world, one, change), *_occupied(world, one, change, taken), *_closed(world, one, change)]
    return found


def _starts(change: Change) -> bool:
    if change.kind is not Kind.REPLICA or change.after is None or not change.after.runs:
        return False
    return "create" in change.actions or (change.before is not None and not change.before.runs)


def _no(one: Held, what: str, hint: str, host: str | None = None, details: tuple[str, ...] = ()) -> Refusal:
    return Refusal("rollback", f"{one.name} cannot go back to revision {one.number}: {what}", details, hint, host, one.name)


def _way(one: Held) -> str:
    return f"set deployments/{one.name}.yaml back to what you want, then: deployer apply {one.name} --release {one.name}"


def _not_whole(world: World, one: Held, starts: Sequence[Change]) -> Iterable[Refusal]:
    """Every slot of the revision must be known from the host it stood on."""
    if not one.asked and not starts:
        return
    if not any(one.notes.values()):
        yield _no(one, "no host that answered remembers it", f"deployer history {one.name}")
    for number, slot in sorted((one.newest.get("slots") or {}).items()):
        host = slot["host"]
        if host not in world.fleet.hosts:
            yield _no(one, f"slot {number} stood on {host}, which is in no file any more", _way(one), host)
        elif isinstance(world.observed.get(host), Reached) and not _stands(one, host, int(number)):
            yield _no(one, f"{host} does not remember slot {number} of it", _way(one), host)


def _stands(one: Held, host: str, number: int) -> bool:
    return any(p.number == number for p in one.places) and any(
        r.kind is Kind.REPLICA and r.payload["slot"] == number for r in one.wanted.get(host, ())
    )


def _gone(world: World, one: Held, change: Change) -> Iterable[Refusal]:
    """What the replica stands on, by what the host noted then: nothing is downloaded or built for a rollback."""
    assert change.after is not None
    there = {r.address for r in one.artifacts.get(change.host, ())}
    packages = f"{Kind.PACKAGE}:"
    missing = [need for need in change.after.needs if not need.startswith(packages) and need not in there]
    if missing:
        names = ", ".join(need.replace(":", " ", 1) for need in missing)
        yield _no(one, f"{names} is gone from {change.host}", _way(one), change.host)
    reached = world.observed[change.host]
    model = change.after.attribute("model")
    path = str(model.value).removeprefix("host:") if model is not None and str(model.value).startswith("host:") else None
    if path is not None and isinstance(reached, Reached):
        known = reached.probe.get("host_paths", {})
        if path in known and not known[path]:
            yield _no(one, f"there is no model at {path} on {change.host} any more", "put it there again", change.host)


def _occupied(world: World, one: Held, change: Change, taken: Sequence[Place]) -> Iterable[Refusal]:
    """Its port and GPUs are free, or its own."""
    assert change.after is not None
    port, gpus, host = int(change.after.payload["port"]), set(change.after.payload.get("gpus", ())), change.host
    share = change.after.payload.get("share")
    for place in taken:
        if place.host != host:
            continue
        who = f"{place.deployment}/{place.number}"
        if place.port == port:
            yield _no(one, f"port {port} of {host} belongs to {who} now", _free(one, who), host)
        if gpus & set(place.gpus) and (share is None or place.share is None):
            yield _no(one, f"the GPU of {change.name} on {host} belongs to {who} now", _free(one, who), host)
    reached = world.observed[host]
    if not isinstance(reached, Reached):
        return
    for fleet in reached.probe.get("other_fleets", ()):
        mine = set(fleet.get("gpus", ())) - (set() if share is None else set(fleet.get("shares") or ()))
        if port in fleet.get("ports", ()) or gpus & mine:
            yield _no(one, f"the place of {change.name} on {host} belongs to the fleet {fleet.get('name')} now", _way(one), host)
    if share is not None:
        yield from _no_share(world, one, change, taken, share)
    yield from _own(one, change, reached, port, gpus)
    yield from _gpus(one, change, reached)


def _no_share(world: World, one: Held, change: Change, taken: Sequence[Place], share: int) -> Iterable[Refusal]:
    """Its share of a GPU that others have shares of; one that somebody has alone is said already."""
    assert change.after is not None
    gpus, claims = set(change.after.payload["gpus"]), claimed(world, (p for p in taken if p.share is not None))
    if any(WHOLE - share < claims.gpus[change.host, gpu] <= WHOLE for gpu in gpus):
        who = sorted({f"{p.deployment}/{p.number}" for p in taken if p.host == change.host and gpus & set(p.gpus)})
        what = f"{share}% of the GPU of {change.name} on {change.host} are not free any more"
        yield _no(one, f"{what}: {', '.join(who)}" if who else what, _way(one), change.host)


def _free(one: Held, who: str) -> str:
    return f"move or stop {who.partition('/')[0]} first; or {_way(one)}"


def _own(one: Held, change: Change, reached: Reached, port: int, gpus: set[str]) -> Iterable[Refusal]:
    """Another slot of the same deployment runs there now, and would still run when this one starts."""
    record = reached.probe.get("records", {}).get(one.name) or {}
    for now in (resource_from(r) for r in record.get("resources", ()) if r.get("kind") == Kind.REPLICA):
        if now.name == change.name or not now.runs:
            continue
        shared = "share" in now.payload and change.after is not None and "share" in change.after.payload
        if now.payload["port"] == port or (gpus & set(now.payload.get("gpus", ())) and not shared):
            what = f"{now.name} runs in the place that {change.name} had on {reached.name}"
            hint = f"stop it first, with downtime: deployer stop {one.name}, then deployer rollback {one.name} {one.number}"
            yield _no(one, what, hint, reached.name)


def _gpus(one: Held, change: Change, reached: Reached) -> Iterable[Refusal]:
    assert change.after is not None
    known = {g["uuid"]: g for g in reached.probe.get("gpus", ())}
    if reached.probe.get("gpu_error"):  # the guard for the driver says it
        return
    for uuid in change.after.payload.get("gpus", ()):
        if uuid not in known:
            yield _no(one, f"GPU {uuid} is not on {reached.name} any more", _way(one), reached.name)
        elif foreign(known[uuid]):
            number = known[uuid]["index"]
            what = f"GPU {number} of {reached.name} is used by a program that is not ours"
            yield _no(one, what, "end that program (nvidia-smi names it)", reached.name)


def _closed(world: World, one: Held, change: Change) -> Iterable[Refusal]:
    """A host that takes nothing new takes back only what it still has."""
    host = world.fleet.hosts[change.host]
    reached = world.observed[change.host]
    assert isinstance(reached, Reached)
    record = reached.probe.get("records", {}).get(one.name, {})
    here = any(r.get("kind") == Kind.REPLICA for r in record.get("resources", ()))
    if host.state == "retired" or (host.state != "active" and not here):
        yield _no(one, f"{change.host} is {host.state}", f"set state: active in hosts/{change.host}.yaml", change.host)
