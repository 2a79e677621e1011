"""GPUs of which several replicas have a share: slots whose own share is another now, and who stands beside whom. Pure. Called by
place, nearest and rollout.

While a plan is done the old process and the new one may both be there, so a slot counts with the larger of its two shares; what
it gives back is free for the next plan.
"""

from collections.abc import Iterable, Mapping, Sequence

from deployer.plan.room import Claims, amount
from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.state.observed import Reached

Slot = tuple[str, int]


def resized(
    world: World, stays: Mapping[Slot, Place], claims: Claims, leaving: Sequence[Place]
) -> Iterable[tuple[Place, Place, str | None]]:
    """Slots that stay on a host that answers and whose share is not what it was: as it was, as it is now, and why it cannot
    stay; None when it can. All that stays is claimed already, and what can stay is claimed anew; who grows gives way.
    """
    changed = [(old, _now(world, old)) for old in sorted([old for old in stays.values() if _asked(world, old) != old.share])]
    if not changed:
        return
    for place in leaving:
        claims.take(place)
    found = []
    for old, now in changed:
        larger = max((old, now), key=amount)
        claims.release(old)
        why = None if all(claims.left(old.host, gpu) >= amount(larger) for gpu in old.gpus) else _crowded(now)
        claims.take(larger if why is None else old)
        if why is None and amount(now) < amount(larger):
            claims.returning[now] = amount(larger) - amount(now)
        found.append((old, now, why))
    for old, _, why in found:
        if why is not None:
            claims.release(old)
    for place in leaving:
        claims.release(place)
    yield from found


def _asked(world: World, old: Place) -> int | None:
    """What its file says, where that can be done."""
    if not old.gpus or not isinstance(world.observed.get(old.host), Reached):
        return old.share
    return world.fleet.deployments[old.deployment].placement.share


def _now(world: World, old: Place) -> Place:
    return old._replace(share=_asked(world, old))


def _crowded(now: Place) -> str:
    if now.share is None:
        return f"others share its GPU on {now.host}, and it wants one alone"
    return f"its GPU on {now.host} has no {now.share}% for it beside the others"


def beside_words(places: Iterable[Place], slot: Slot) -> str:
    """For a line of words: what it has of its GPU, and who has the rest."""
    mine = next(p for p in places if (p.deployment, p.number) == slot)
    if mine.share is None:
        return ""
    others = sorted(
        f"{p.deployment}/{p.number} ({p.share}%)"
        for p in places
        if p is not mine and p.share is not None and p.host == mine.host and set(p.gpus) & set(mine.gpus)
    )
    return f"; it has {mine.share}% of its GPU{'s' * (len(mine.gpus) > 1)}" + (f", beside {', '.join(others)}" if others else "")


def besides(places: Iterable[Place], recorded: Iterable[Place]) -> Iterable[Place]:
    """Of what is recorded, what `places` do not claim anyhow: a slot that stands where it stood claims only what it had more."""
    standing = {_spot(place): amount(place) for place in places if place.share is not None}
    for place in recorded:
        now = standing.get(_spot(place))
        if now is None:
            yield place
        elif amount(place) > now:
            yield place._replace(share=amount(place) - now)


def _spot(place: Place) -> Place:
    return place._replace(share=None)
