"""What GPUs cost a month, by the prices in the hosts' files: of a deployment, of a change, and of GPUs that nothing uses. Pure.
Called by estimates, make, text, describe and the status.

A GPU costs from the moment a slot has it, also while its deployment is stopped: it is kept for it. Sums are by currency; amounts
in two currencies are never added.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from deployer.plan.model import Change, Notice
from deployer.plan.room import WHOLE, usable_gpus
from deployer.plan.roster import Place
from deployer.plan.words import count
from deployer.plan.world import World
from deployer.spec.models import FleetSpec
from deployer.state.observed import Observed, Reached
from deployer.state.resources import Kind, Resource

#: A year's hours by twelve.
HOURS = 730

Money = Mapping[str, float]  # currency → amount a month


def priced(fleet: FleetSpec) -> bool:
    """Whether any host says a price: else nothing is said of costs."""
    return any(host.price is not None for host in fleet.hosts.values())


def month(fleet: FleetSpec, host: str, gpus: float) -> tuple[float, str] | None:
    """Amount and currency of so many GPUs of a host, or of a part of one; None without a price."""
    spec = fleet.hosts.get(host)
    return None if spec is None or spec.price is None else (spec.price[0] * gpus * HOURS, spec.price[1])


def of_places(fleet: FleetSpec, places: Iterable[Place]) -> dict[str, dict[str, float]]:
    """By deployment. One that uses no GPU with a price is not in it."""
    found: dict[str, dict[str, float]] = {}
    for place in places:
        cost = month(fleet, place.host, _much(place.gpus, place.share))
        if cost is not None and place.gpus:
            _add(found.setdefault(place.deployment, {}), *cost)
    return found


def idle(fleet: FleetSpec, observed: Observed, places: Iterable[Place]) -> tuple[dict[str, int], dict[str, float]]:
    """GPUs without a slot by host, and what they cost: of hosts that have a price and answered."""
    used = {(place.host, gpu) for place in places for gpu in place.gpus}
    hosts: dict[str, int] = {}
    money: dict[str, float] = {}
    for name, reached in sorted(observed.items()):
        spec = fleet.hosts.get(name)
        if spec is None or spec.price is None or not isinstance(reached, Reached):
            continue
        free = sum((name, gpu) not in used for gpu in usable_gpus(spec, reached))
        cost = month(fleet, name, free)
        if free and cost is not None:
            hosts[name] = free
            _add(money, *cost)
    return hosts, money


def with_costs(world: World, changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """The same changes; those that take or give back GPUs say what a month costs more or less."""
    return tuple(_costing(world, change) for change in changes) if priced(world.fleet) else changes


def _costing(world: World, change: Change) -> Change:
    if change.kind is not Kind.REPLICA:
        return change
    cost = month(world.fleet, change.host, _gpus(change.after) - _gpus(change.before))
    return change if cost is None else change._replace(impact=change.impact._replace(month=round(cost[0], 2), currency=cost[1]))


def _gpus(resource: Resource | None) -> float:
    return 0 if resource is None else _much(resource.payload.get("gpus", ()), resource.payload.get("share"))


def _much(gpus: Sequence[str], share: int | None) -> float:
    """How many GPUs are paid for: of a shared one, the part that is kept."""
    return len(gpus) if share is None else len(gpus) * share / WHOLE


def total(changes: Iterable[Change]) -> dict[str, float]:
    """What all of them cost more a month, or less; nothing where that is nothing."""
    found: dict[str, float] = {}
    for change in changes:
        if change.impact.currency is not None:
            _add(found, change.impact.month, change.impact.currency)
    return {currency: amount for currency, amount in found.items() if round(amount, 2)}


def notices(world: World, changes: Iterable[Change], places: Iterable[Place]) -> Iterator[Notice]:
    """What each deployment costs whose GPUs change, and what is idle once the plan is done."""
    if not priced(world.fleet):
        return
    places = tuple(places)
    after = of_places(world.fleet, places)
    mine: dict[str, list[Change]] = {}
    for change in changes:
        if change.deployment and change.impact.currency is not None:
            mine.setdefault(change.deployment, []).append(change)
    for name, own in sorted(mine.items()):
        more = total(own)
        if more:
            costs = f"costs {words(after[name])} a month" if name in after else "costs nothing any more"
            yield Notice("cost", f"{name} {costs}: {words(more, sign=True)} by this plan", deployment=name)
    hosts, money = idle(world.fleet, world.observed, places)
    if hosts:
        where = ", ".join(f"{number} on {host}" for host, number in hosts.items())
        number = sum(hosts.values())
        verb = "is" if number == 1 else "are"
        yield Notice("idle", f"{count(number, 'GPU')} {verb} idle after this: {words(money)} a month ({where})")


def words(money: Money, *, sign: bool = False) -> str:
    """As "1,818 EUR", "+1,818 EUR and -90.50 USD"; without "a month"."""
    return " and ".join(f"{_amount(amount, sign)} {currency}" for currency, amount in sorted(money.items()))


def _amount(amount: float, sign: bool) -> str:
    plus = "+" if sign else ""
    return format(amount, f"{plus},.0f" if abs(amount) >= 100 else f"{plus},.2f")


def _add(money: dict[str, float], amount: float, currency: str) -> None:
    money[currency] = round(money.get(currency, 0.0) + amount, 2)
