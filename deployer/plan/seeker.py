"""Finds a host and GPUs for replicas that have no place yet, one after another. Used by place. Pure and deterministic.

Room only shrinks while it is used, so a host without room for a wish is not asked again for the same; that keeps a thousand
hosts and five thousand slots far from asking every pair.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from deployer.plan import gpupick
from deployer.plan.apart import HOST, Neighbours, domain
from deployer.plan.modelplace import ModelPlaces
from deployer.plan.room import WHOLE, Claims, at_hand, free_port
from deployer.plan.roster import Place
from deployer.plan.wishes import GpuKind, Wish, Wishes, hosts_of
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.observed import Reached

#: In place of a label: the hosts that have a model.
MODEL = "\0model"
Rank = tuple[int, int, int, str]
Skip = Callable[[str], bool]


class Seen(NamedTuple):
    """A host with room: how it ranks, and what the replica would get there."""

    rank: Rank
    place: Place


class Seeker:
    """`leaving`: slots that stop late in the plan. Their room is free only for the next one, but for each one's own."""

    def __init__(self, world: World, claims: Claims, beside: Neighbours, wishes: Wishes, leaving: Iterable[Place] = ()) -> None:
        self._world, self._claims, self._beside, self._wishes = world, claims, beside, wishes
        self._models = ModelPlaces(world)
        self._leaving = {(place.deployment, place.number): place for place in leaving}
        self._heaps: dict[tuple[Wish, str | None, object], list[Rank]] = {}
        self._packing: dict[tuple[Wish, str | None, object], list[Rank]] = {}  # of these, those that fill hosts up
        self._domains: dict[tuple[Wish, str], set[str | None]] = {}
        self._links: dict[str, gpupick.Links] = {}
        self._fitting: dict[tuple[str, frozenset[GpuKind]], list[Mapping[str, Any]]] = {}  # taken or not
        for place in self._leaving.values():
            claims.take(place)

    def find(self, spec: DeploymentSpec, number: int) -> tuple[Place, str] | None:
        """A place, claimed, and why there. None: there is none."""
        wish = self._wishes.of(spec)
        own = self._leaving.get((spec.name, number))
        if own is not None:
            self._claims.release(own)
            self._changed(own.host, packs_only=False)
        found = self._search(spec, number, wish)
        if found is not None:
            self._claims.take(found[0])
            self._beside.add(found[0])
            self._changed(found[0].host)
        if own is not None:
            self._claims.take(own)
            self._changed(own.host)
            if found is not None and found[0].host == own.host and found[0].gpus != own.gpus and own.gpus:
                return found[0], "other GPUs of it have room"
        return found

    def _search(self, spec: DeploymentSpec, number: int, wish: Wish, without: str | None = None) -> tuple[Place, str] | None:
        hosts, own = self._world.fleet.hosts, self._beside.of(spec.name)

        def barred(name: str) -> bool:
            return name == without or self._beside.why_not(spec, hosts[name]) is not None

        if wish.pack:
            seen = self._scan(spec, number, wish, None, None, barred)
            return (seen.place, "the fullest host that has room") if seen else None
        by = spec.placement.spread_by
        there = {name for name, count in own.items() if count}
        for values in self._tiers(spec, wish, by):

            def outside(name: str, values: frozenset[str | None] | None = values) -> bool:
                return name in there or (values is not None and domain(hosts[name], by) not in values) or barred(name)

            best = self._general(spec, number, wish, by, values, outside)
            found = self._nearer(spec, number, wish, best, outside)
            if found is not None:
                return found
        return self._again_beside_own(spec, number, wish, own, barred)

    def _tiers(self, spec: DeploymentSpec, wish: Wish, by: str) -> Iterable[frozenset[str | None] | None]:
        """Sets of domains, those with the fewest of its replicas first; None means all hosts alike."""
        if by == HOST:
            return (None,)
        if (wish, by) not in self._domains:
            self._domains[wish, by] = {domain(host, by) for host in hosts_of(self._world, wish)}
        counts, values = self._beside.domains(spec, by), self._domains[wish, by]
        order = sorted({(value is None, counts[value]) for value in values})
        return [frozenset(v for v in values if (v is None, counts[v]) == tier) for tier in order]

    def _general(
        self, spec: DeploymentSpec, number: int, wish: Wish, by: str, values: frozenset[str | None] | None, skip: Skip
    ) -> Seen | None:
        if values is None:
            return self._scan(spec, number, wish, None, None, skip)
        seen = (self._scan(spec, number, wish, by, value, skip) for value in sorted(values, key=str))
        return min((one for one in seen if one is not None), key=lambda one: one.rank, default=None)

    def _nearer(self, spec: DeploymentSpec, number: int, wish: Wish, best: Seen | None, skip: Skip) -> tuple[Place, str] | None:
        """The host that has the model already is taken before an emptier one; where nothing but emptiness keeps replicas from
        standing all on one host (no GPUs), only before one that is as empty.
        """
        if best is None:
            return None
        name = self._models.name(spec)
        near = self._scan(spec, number, wish, MODEL, name, skip) if name is not None and self._models.hosts(name) else None
        if near is not None and (wish.gpus or near.rank[:-1] == best.rank[:-1]):
            return near.place, "it has the model already"
        return best.place, "the emptiest host that has room"

    def _again_beside_own(
        self, spec: DeploymentSpec, number: int, wish: Wish, own: Mapping[str, int], barred: Skip
    ) -> tuple[Place, str] | None:
        """Beside another of its own replicas: where the fewest are."""
        counts = self._beside.domains(spec, spec.placement.spread_by)
        hosts = self._world.fleet.hosts
        there = [h for name, count in own.items() if count > 0 and (h := hosts.get(name)) is not None and wish.allows(h)]
        order = sorted((counts[domain(h, spec.placement.spread_by)], own[h.name], self._rank(wish, h.name)) for h in there)
        for _, _, rank in order:
            place = None if barred(rank[-1]) else self.at(spec, number, wish, rank[-1])
            if place is not None:
                return place, "no host with room is without one of its replicas"
        return None

    def _scan(self, spec: DeploymentSpec, number: int, wish: Wish, by: str | None, value: object, skip: Skip) -> Seen | None:
        """The best of a part of the hosts: those with this value of a label, those with this model, or all. What its heap
        holds may be out of date, and is then put back as it is now. Who is found stays on top: mostly it is next asked for there.
        """
        heap = self._heap(wish, by, value)
        barred: list[Rank] = []
        tried: set[str] = set()
        found: Seen | None = None
        while heap and found is None:
            name = heap[0][-1]
            if name in tried:
                heapq.heappop(heap)
                continue
            now = self._rank(wish, name)
            if now != heap[0]:
                heapq.heapreplace(heap, now)
                continue
            skipped = skip(name)
            place = None if skipped else self.at(spec, number, wish, name)
            if place is not None:
                found = Seen(now, place)
                continue
            tried.add(heapq.heappop(heap)[-1])
            if skipped:
                barred.append(now)
        for rank in barred:
            heapq.heappush(heap, rank)
        return found

    def _heap(self, wish: Wish, by: str | None, value: object) -> list[Rank]:
        key = (wish, by, value)
        heap = self._heaps.get(key)
        if heap is None:
            heap = [self._rank(wish, host.name) for host in hosts_of(self._world, wish) if self._within(host, by, value)]
            heapq.heapify(heap)
            self._heaps[key] = heap
            if wish.pack:
                self._packing[key] = heap
        return heap

    def _within(self, host: HostSpec, by: str | None, value: object) -> bool:
        if by == MODEL:
            return host.name in self._models.hosts(str(value))
        return by is None or domain(host, by) == value

    def _changed(self, name: str, *, packs_only: bool = True) -> None:
        """A host ranks better than its entries say (packing: it is fuller), or has room again: it is entered anew."""
        host = self._world.fleet.hosts.get(name)
        for (wish, by, value), heap in (self._packing if packs_only else self._heaps).items():
            if host is not None and wish.allows(host) and self._within(host, by, value):
                heapq.heappush(heap, self._rank(wish, name))

    def _rank(self, wish: Wish, name: str) -> Rank:
        """The smaller, the sooner. Spreading: the fewest replicas. Packing: in use before idle, the fewest free GPUs, the most
        replicas.
        """
        slots = self._claims.slots.get(name, 0)
        if not wish.pack:
            return slots, 0, 0, name
        host, reached = self._world.fleet.hosts[name], self._world.observed.get(name)
        left = len(self.free(wish, host, reached)) if wish.gpus and isinstance(reached, Reached) else 0
        return int(slots == 0), left, -slots, name

    def at(self, spec: DeploymentSpec, number: int, wish: Wish, name: str) -> Place | None:
        """The place it would have on this host."""
        host, reached = self._world.fleet.hosts[name], self._world.observed.get(name)
        if host.state != "active" or not isinstance(reached, Reached):
            return None
        return self.room(spec, number, wish, host, reached)

    def room(self, spec: DeploymentSpec, number: int, wish: Wish, host: HostSpec, reached: Reached) -> Place | None:
        """As `at`, whatever the host's state."""
        left = self.free(wish, host, reached) if wish.gpus else []
        port = free_port(host, reached, self._claims) if len(left) >= wish.gpus else None
        if port is None:
            return None
        if host.name not in self._links:
            self._links[host.name] = gpupick.links(reached.probe)
        if wish.share is not None:
            left = self._fullest(wish, host, left)
        gpus = gpupick.pick(left, wish.gpus, self._links[host.name], wish.smallest)
        return Place(spec.name, number, host.name, port, gpus, wish.share if gpus else None)

    def _fullest(self, wish: Wish, host: HostSpec, left: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """For a share: GPUs that are shared already, so that whole ones stay free; of these the fullest first."""
        shared = [gpu for gpu in left if self._claims.left(host.name, gpu["uuid"]) < WHOLE]
        return sorted(shared if len(shared) >= wish.gpus else left, key=lambda gpu: self._claims.left(host.name, gpu["uuid"]))

    def free(self, wish: Wish, host: HostSpec, reached: Reached) -> list[Mapping[str, Any]]:
        """The free GPUs of a host that would do."""
        key = host.name, wish.kinds
        if key not in self._fitting:
            there = at_hand(host, reached, self._claims)
            self._fitting[key] = [gpu for gpu in there if GpuKind.of(gpu) in wish.kinds]
        return self._claims.unclaimed(host.name, self._fitting[key], wish.share)

    def could_move(self, spec: DeploymentSpec, old: Place) -> Place | None:
        """Where a slot that stands could stand as well, on another host; nothing is claimed."""
        self._beside.remove(old)
        found = self._search(spec, old.number, self._wishes.of(spec), without=old.host)
        self._beside.add(old)
        return found[0] if found else None
