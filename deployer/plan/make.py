"""From the world to a plan: place, say what is wanted, compare, guard, order. Called by app; touches nothing.

Two worlds that are equal give equal plans, byte for byte, whatever the order of their mappings.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployer.plan import (
    canary,
    catalogued,
    certificate,
    computing,
    cordons,
    costs,
    fitting,
    goingback,
    guard,
    modelnames,
    numbers,
    orphans,
    policies,
    preflight,
    rolledback,
    stopping,
    upgrades,
)
from deployer.plan.canary import Canaries
from deployer.plan.cordons import Cordon
from deployer.plan.desired import Desired, desire
from deployer.plan.diffs import Compared, compare_host
from deployer.plan.endpoint import carriers
from deployer.plan.estimates import with_estimates
from deployer.plan.gatewayhost import as_it_is, named_gateways
from deployer.plan.identity import plan_id
from deployer.plan.model import Change, Notice, Plan, PlannedHost, Refusal
from deployer.plan.order import ordered
from deployer.plan.place import Placed, place
from deployer.plan.place import notices as place_notices
from deployer.plan.preflight.finding import refused, warned
from deployer.plan.record import HOST_RECORD, known_secrets, resource_from
from deployer.plan.rolledback import Rolled
from deployer.plan.rollout import Decided, decide
from deployer.plan.roster import ROLLED_BACK, Place, Roster, holds_now, latest, succeed, to_json
from deployer.plan.waves import in_waves
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.observed import Reached
from deployer.state.resources import Resource


@dataclass(frozen=True, slots=True)
class Scope:
    """Which deployments this plan is about: `planned` may change; the rest keeps its room and is left alone."""

    planned: tuple[DeploymentSpec, ...]
    others: tuple[str, ...]
    destroyed: tuple[str, ...]


def make_plan(world: World) -> Plan:
    roster = latest(world.observed)
    held = cordons.in_force(world, roster.cordons, roster.members)
    world = cordons.with_states(world, held)
    rolled = rolledback.roll(world, roster, holds_now(world, roster))
    scope, rolled = _scope(world, rolled)
    names = {spec.name for spec in scope.planned}
    kept = [p for p in roster.places if p.deployment not in names and p.deployment not in scope.destroyed]
    placed = place(world, roster, scope.planned, [*kept, *rolled.places])
    wanted = desire(world, scope.planned, placed.places, rolled.holds)
    rolledback.put(world, rolled, wanted)
    recorded = {name: _recorded(world, r) for name, r in sorted(world.observed.items()) if isinstance(r, Reached)}
    tried = canary.put(world, roster, scope.planned, placed, kept, recorded, rolled.holds, wanted)
    placed = tried.applied(placed)
    compared = [_compare(world, scope, wanted, recorded, name) for name in recorded]
    decided = _decide(world, placed, kept, rolled, recorded, compared, tried)
    if decided.beside:
        placed = replace(placed, places=tuple(decided.places.get((p.deployment, p.number), p) for p in placed.places))
        wanted, touched = _beside(world, scope, placed, rolled, wanted, decided)
        compared = [
            _compare(world, scope, wanted, recorded, part.host, decided.beside) if part.host in touched else part
            for part in compared
        ]
    every = list(rolledback.said((c for part in compared for c in part.changes), rolled))
    waved = in_waves(world, [*placed.places, *rolled.places], wanted, decided, every)
    changes, asked = with_estimates(world, placed.places, ordered(waved))
    misfits = fitting.misfits(asked, placed.places)
    homeless = {r.deployment for r in (*placed.refusals, *wanted.refusals)}  # refused already: nothing of them will stop
    broken = policies.of_plan(world, scope.planned, placed.places)
    found = preflight.of_plan(world, placed.places, changes, (*kept, *rolled.places))
    refusals = [
        *placed.refusals,
        *policies.refusals(broken),
        *wanted.refusals,
        *decided.refusals,
        *tried.refusals,
        *guard.refusals(world, roster, scope.planned, changes),
        *refused(found),
        *modelnames.refusals(world, wanted.hosts, recorded),
        *fitting.refusals(world, misfits),
        *computing.refusals(world, placed.places, changes),
        *goingback.refusals(world, rolled, [*placed.places, *kept], changes),
        *stopping.refusals(world, roster, recorded, [c for c in changes if c.deployment not in homeless]),
        *cordons.stuck(world, {name: one.number for name, one in rolled.held.items()}, rolled.places),
    ]
    fits = (
        *catalogued.notices(world, scope.planned, changes),
        *policies.notices(broken),
        *fitting.notices(world, (*placed.places, *kept), misfits),
    )
    plan = _assemble(
        world, roster, scope, placed, kept, rolled, wanted, recorded, compared, decided, changes, refusals, fits, held, tried
    )
    return replace(plan, findings=warned(found))


def _scope(world: World, rolled: Rolled) -> tuple[Scope, Rolled]:
    """What is held at a revision is not planned from the files. Of that, too, only what was picked may change."""
    options = world.options
    destroyed = {name for name, hold in rolled.holds.items() if hold.kind == "destroyed"}
    planned, others, held = [], [], {}
    for name, spec in sorted(world.fleet.deployments.items()):
        picked = options.about(name) and (not options.tags or set(options.tags) & set(spec.tags))
        if name in destroyed:
            continue
        if picked and name in rolled.held:
            held[name] = rolled.held[name]
        elif picked:
            planned.append(spec)
        else:
            others.append(name)
    return Scope(tuple(planned), tuple(others), tuple(sorted(destroyed))), replace(rolled, held=held)


def _recorded(world: World, reached: Reached) -> dict[str, tuple[Resource, ...]]:
    """Resources by deployment, as the host notes them."""
    records = reached.probe.get("records", {})
    read: dict[str, tuple[Mapping[str, Any], Resource]] = {}  # by name: what several deployments stand on is read once

    def resource(data: Mapping[str, Any]) -> Resource:
        told, found = read.get(data["name"], (None, None))
        if found is None or told != data:
            found = resource_from(data)
            read[found.name] = data, found
        return found

    return {
        name: tuple(as_it_is(world, known_secrets(resource(r), record.get("secrets", {}))) for r in record.get("resources", []))
        for name, record in sorted(records.items())
    }


def _compare(
    world: World,
    scope: Scope,
    wanted: Desired,
    recorded: dict[str, dict[str, tuple[Resource, ...]]],
    name: str,
    beside: Collection[tuple[str, str]] = (),
) -> Compared:
    reached = world.observed[name]
    assert isinstance(reached, Reached)
    return compare_host(world, scope.others, scope.destroyed, wanted.hosts.get(name, {}), recorded[name], reached, beside)


def _decide(
    world: World,
    placed: Placed,
    kept: Sequence[Place],
    rolled: Rolled,
    recorded: dict[str, dict[str, tuple[Resource, ...]]],
    compared: Sequence[Compared],
    tried: Canaries,
) -> Decided:
    """An earlier revision comes back as it was recorded: it cannot be made for another port. Nor can what stands beside a
    canary.
    """
    changes = (c for part in compared for c in part.changes)
    fixed = dict.fromkeys(rolled.held, "an earlier revision comes back to the very port it had")
    fixed |= dict.fromkeys(tried.places, "a canary stands already")
    decided = decide(world, [*placed.places, *rolled.places], kept, recorded, changes, fixed=fixed)
    decided.rollouts = {**tried.begun, **decided.rollouts}
    return decided


def _beside(
    world: World, scope: Scope, placed: Placed, rolled: Rolled, wanted: Desired, decided: Decided
) -> tuple[Desired, set[str]]:
    """What is wanted, with the replicas of a blue_green in their second places; and the hosts that this concerns."""
    names = {name for name, _ in decided.places}
    moved = desire(world, [s for s in scope.planned if s.name in names], placed.places, rolled.holds, wanted.makers)
    touched = {host for host, resources in moved.hosts.items() if resources} | {host for host, _ in decided.beside}
    return wanted.overlaid(moved), touched


def _assemble(
    world: World,
    roster: Roster,
    scope: Scope,
    placed: Placed,
    kept: Sequence[Place],
    rolled: Rolled,
    wanted: Desired,
    recorded: dict[str, dict[str, tuple[Resource, ...]]],
    compared: Sequence[Compared],
    decided: Decided,
    changes: tuple[Change, ...],
    refusals: Sequence[Refusal],
    fits: Sequence[Notice],
    held: Mapping[str, Cordon],
    tried: Canaries,
) -> Plan:
    gone = {c.deployment for c in changes if c.after is None and c.deployment}
    staying = [p for p in kept if p.deployment not in gone and p.deployment not in rolled.held]
    after = succeed(roster, world, (*placed.places, *staying, *rolled.places), rolled.holds, held, tried.standing)
    touched = {(c.host, c.deployment or HOST_RECORD) for c in changes}
    plan = Plan(
        plan_id="",
        fleet_id=world.fleet.id,
        fleet_name=world.fleet.name,
        environment=world.fleet.environment,
        git_commit=world.git.commit,
        created_at=world.now,
        hosts={name: _host(world, name) for name in sorted(world.observed)},
        changes=changes,
        drift=tuple(d for part in compared for d in part.drift),
        ignored=tuple(d for part in compared for d in part.ignored),
        refusals=tuple(refusals),
        notices=(
            *_notices(world, roster, rolled, placed),
            *cordons.notices(world, held, Counter(p.host for p in (*placed.places, *rolled.places)), named_gateways(world)),
            *_moved_endpoints(world, roster, placed),
            *canary.notices(world, tried),
            *orphans.notices(world, roster, compared),
            *upgrades.notices(world, scope.planned, changes),
            *costs.notices(world, changes, (*placed.places, *staying, *rolled.places)),
            *fits,
        ),
        roster=to_json(after),
        revisions=_revisions(world, changes),
        specs=goingback.specs(world, rolled, changes),
        rollouts=decided.rollouts,
        texts=_texts(wanted, changes),
        recorded={h: {n: rs for n, rs in by.items() if (h, n) in touched} for h, by in recorded.items()},
        standing={host: _standing(resources) for host, resources in sorted(wanted.hosts.items())},
        unchanged=sum(part.unchanged for part in compared),
    )
    return replace(plan, plan_id=plan_id(plan))


def _standing(resources: Mapping[str, Resource]) -> tuple[Resource, ...]:
    """What of a host belongs to no deployment, by address."""
    return tuple([resources[address] for address in sorted([a for a, r in resources.items() if r.deployment is None])])


def _host(world: World, name: str) -> PlannedHost:
    reached = world.observed[name]
    if isinstance(reached, Reached):
        return PlannedHost(True, reached.probe.get("fingerprint"), reached.probe.get("machine_id"))
    return PlannedHost(False, error=reached.message, error_kind=reached.kind, hint=reached.hint)


def _texts(wanted: Desired, changes: Sequence[Change]) -> dict[str, str]:
    used = {c.after.payload.get("requirements") for c in changes if c.after is not None}
    return {sha: text for sha, text in sorted(wanted.texts.items()) if sha in used}


def _revisions(world: World, changes: Sequence[Change]) -> dict[str, int]:
    """The number each deployment that changes will have: one more than the highest that any host knows."""
    names = sorted({c.deployment for c in changes if c.deployment})
    highest = numbers.highest(world.observed) if names else {}
    return {name: highest.get(name, 0) + 1 for name in names}


def _notices(world: World, roster: Roster, rolled: Rolled, placed: Placed) -> list[Notice]:
    found = [*guard.unreachable_notices(world, roster), *guard.running_notices(world), *certificate.notices(world)]
    for name, hold in sorted(rolled.holds.items()):
        if name in rolled.held:
            continue
        why = f" ({hold.why})" if hold.why else ""
        how = f"at revision {hold.revision}" if hold.kind == ROLLED_BACK else hold.kind
        what = f"{name} is held {how} by {hold.who} since {hold.at}{why}"
        found.append(Notice("hold", what, f"to lift it: deployer apply --release {name}", deployment=name))
    found += goingback.notices(world, rolled)
    return [*found, *place_notices(world, placed)]


def _moved_endpoints(world: World, roster: Roster, placed: Placed) -> Iterable[Notice]:
    """Where no gateway is named, an endpoint stands with its replicas, and so has another address when they move."""
    named = named_gateways(world)
    before = roster.by_deployment()
    for name in sorted({name for name, _ in placed.moved}):
        was = carriers(named, [p.host for p in before.get(name, ())])
        now = carriers(named, [p.host for p in placed.places if p.deployment == name])
        if was and now and was != now:
            what = f"{name}: its endpoint moves from {was[0]} to {now[0]}, and so has another address"
            yield Notice("endpoint", what, "a host with gateway: true in its file keeps it in one place", deployment=name)
