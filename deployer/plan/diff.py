"""What is wanted against what was recorded, resource by resource. No judgement, no order: only what differs and why.

Positions do not count, nor does anything in a payload that no attribute names: a unit's other text is compared as the
attribute "unit file" and restarts nothing.
"""

from typing import Any

from deployer.plan.model import Change, Delta, Impact
from deployer.spec.positions import Positions
from deployer.state.canonical import digest
from deployer.state.resources import Attribute, Kind, Resource

#: How long a restart takes when nothing was learned yet, in seconds; said as "about".
UNKNOWN_START_S = 60.0

#: For what was recorded on hosts and stands in no file as it was.
NOWHERE = Positions()


_IN_PLACE = ("delete", "create")
_BESIDE = ("create", "delete")

#: The attribute that stands for the text of rendered files; said only when nothing else explains why they differ.
FILES = "files"


def change_id(host: str, address: str, actions: tuple[str, ...]) -> str:
    """Short and stable: the same change of the same thing has the same id in every plan."""
    return digest([host, address, list(actions)], 8)


def deltas(before: Resource, after: Resource, positions: Positions = NOWHERE) -> tuple[Delta, ...]:
    """Attributes that differ, in the order of `after`, then what is gone. A secret not at hand is kept as it is.
    `positions`: where the files say it is looked up for these alone.
    """
    old = {a.name: a for a in before.attributes}
    found = []
    for a in after.attributes:
        was = old.pop(a.name, None)
        if a.secret and a.value is None and was is not None:
            continue
        if was is None or was.value != a.value:
            found.append(Delta(a.name, was.value if was else None, a.value, a.restarts, a.secret, positions.at(a.at)))
    found.extend(Delta(a.name, a.value, None, a.restarts, a.secret, positions.at(after.at)) for a in old.values())
    told = [d for d in found if d.name != FILES]
    return tuple(told or found)


def keep_secrets(before: Resource, after: Resource) -> Resource:
    """`after` with the fingerprints of secrets that are not at hand taken from the record."""
    old = {a.name: a for a in before.attributes}

    def kept(a: Attribute) -> Attribute:
        return a._replace(value=old[a.name].value) if a.secret and a.value is None and a.name in old else a

    return after._replace(attributes=tuple(kept(a) for a in after.attributes))


def change_of(resource: Resource, actions: tuple[str, ...], reason: str, **rest: Any) -> Change:
    """A change of one resource; `rest` are the fields of Change that are not the resource's own."""
    return Change(
        id=change_id(resource.host, resource.address, actions),
        host=resource.host,
        kind=resource.kind,
        name=resource.name,
        deployment=resource.deployment,
        actions=actions,
        reason=reason,
        **rest,
    )


def create(after: Resource, reason: str, positions: Positions) -> Change:
    impact = Impact(None, 0, after.vram_bytes, after.disk_bytes, after.download_bytes)
    return change_of(after, ("create",), reason, after=after, source=positions.at(after.at), impact=impact)


def delete(before: Resource, reason: str) -> Change:
    impact = Impact(vram_bytes=-before.vram_bytes, disk_bytes=-before.disk_bytes)
    return change_of(before, ("delete",), reason, before=before, impact=impact)


def compare(
    before: Resource, after: Resource, positions: Positions, start_s: float = UNKNOWN_START_S, *, beside: bool = False
) -> Change | None:
    """The change from one to the other; None when nothing differs. `beside`: there is room for both at once."""
    differing = deltas(before, after, positions)
    if not differing:
        return None
    restarts = after.kind is Kind.REPLICA and any(d.restarts for d in differing)
    if beside:  # that it stands elsewhere meanwhile is how it is done, not why
        differing = tuple(d for d in differing if d.name not in ("port", "gpus")) or differing
    after = keep_secrets(before, after)
    actions: tuple[str, ...] = ("update",)
    reason, impact = _said(differing), Impact()
    if restarts:
        actions, reason, impact = _replacement(before, after, differing, None if beside else start_s)
    first = next((d.source for d in differing if d.source), None)
    source = first or positions.at(after.at)
    return change_of(after, actions, reason, deltas=differing, before=before, after=after, source=source, impact=impact)


def restart(
    before: Resource,
    after: Resource,
    asked: Change | None,
    who: str,
    positions: Positions,
    start_s: float = UNKNOWN_START_S,
    *,
    beside: bool = False,
) -> Change:
    """A new process of the same replica because somebody asked for one. `asked`: what changes of it anyhow."""
    reason = f"restart asked for by {who}" + (f"; {asked.reason}" if asked else "")
    return change_of(
        after,
        _BESIDE if beside else _IN_PLACE,
        reason,
        deltas=asked.deltas if asked else (),
        before=before,
        after=asked.after if asked else keep_secrets(before, after),
        source=asked.source if asked else positions.at(after.at),
        impact=Impact(downtime_s=None if beside else start_s, restarts=1),
    )


def _said(differing: tuple[Delta, ...]) -> str:
    return ", ".join(d.name for d in differing) + " changed"


def _replacement(
    before: Resource, after: Resource, differing: tuple[Delta, ...], start_s: float | None
) -> tuple[tuple[str, ...], str, Impact]:
    """A new process. `start_s` None: it starts beside the old one, which stops when it has answered."""
    state = next((d for d in differing if d.name == "state"), None)
    vram = after.vram_bytes - before.vram_bytes
    if state is not None and state.after == "stopped":
        return ("update",), "stopped", Impact(vram_bytes=-before.vram_bytes)
    if state is not None and state.before == "stopped":
        return ("update",), "started again", Impact(vram_bytes=after.vram_bytes)
    if not after.runs:
        return ("update",), _said(differing), Impact()
    actions = _BESIDE if start_s is None else _IN_PLACE
    return actions, _said(differing), Impact(downtime_s=start_s, restarts=1, vram_bytes=vram)
