"""What of a host is taken and what is free: ports and GPUs. Pure. Used by whoever gives a place to a replica."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deployer.plan.roster import Place
from deployer.plan.world import World
from deployer.render import names
from deployer.spec.models import HostSpec
from deployer.state.observed import Reached

#: A GPU on which somebody else's process holds more than this is not free.
FOREIGN_MEMORY = 256 * 1024 * 1024
#: All of a GPU, in percent. Who says no share has it alone.
WHOLE = 100
Key = TypeVar("Key")


@dataclass(slots=True)
class Claims:
    """What is taken on the hosts while slots are being placed: (host, port) by how many, (host, GPU) by how much, in percent.

    `returning`: slots that have a smaller share once the plan is done, and how much smaller. Until then it is taken.
    """

    ports: Counter[tuple[str, int]] = field(default_factory=Counter)
    gpus: Counter[tuple[str, str]] = field(default_factory=Counter)
    slots: Counter[str] = field(default_factory=Counter)  # by host
    returning: dict[Place, int] = field(default_factory=dict)
    leaving: frozenset[tuple[str, str]] = frozenset()  # host, unit: not ours, and one of ours takes over from it

    def take(self, place: Place) -> None:
        _more(self.ports, (place.host, place.port), 1)
        for gpu in place.gpus:
            _more(self.gpus, (place.host, gpu), amount(place))
        _more(self.slots, place.host, 1)

    def release(self, place: Place) -> None:
        self.ports[place.host, place.port] -= 1
        for gpu in place.gpus:
            self.gpus[place.host, gpu] -= amount(place)
        self.slots[place.host] -= 1

    def left(self, host: str, gpu: str) -> int:
        """How much of a GPU nobody has, in percent."""
        return max(0, WHOLE - self.gpus[host, gpu])

    def unclaimed(self, host: str, gpus: Iterable[Mapping[str, Any]], share: int | None) -> list[Mapping[str, Any]]:
        """Of these GPUs of a host the ones that no slot has, or of which so large a `share` is left."""
        most, taken = 0 if share is None else WHOLE - share, self.gpus
        return [gpu for gpu in gpus if taken.get((host, gpu["uuid"]), 0) <= most]


def _more(counts: dict[Key, int], key: Key, number: int) -> None:
    """As `counts[key] += number`, which for a Counter takes long where the key is new."""
    counts[key] = counts.get(key, 0) + number


def amount(place: Place) -> int:
    """Of each of its GPUs, in percent."""
    return WHOLE if place.share is None else place.share


def claimed(world: World, places: Iterable[Place]) -> Claims:
    """What these places take, and what other fleets have on the same hosts."""
    claims = Claims(leaving=frozenset((asked.host, asked.unit) for asked in world.options.adopt))
    for place in places:
        claims.take(place)
    for name, reached in world.observed.items():
        if not isinstance(reached, Reached):
            continue
        for fleet in reached.probe.get("other_fleets", []):
            claims.ports.update((name, port) for port in fleet.get("ports", ()))
            shares = fleet.get("shares") or {}
            for gpu in fleet.get("gpus", ()):
                claims.gpus[name, gpu] += shares.get(gpu, WHOLE)
    return claims


class ByUuid:
    """The GPUs of hosts by their UUIDs; of each host put together once."""

    def __init__(self) -> None:
        self._hosts: dict[str, Mapping[str, Mapping[str, Any]]] = {}

    def of(self, reached: Reached) -> Mapping[str, Mapping[str, Any]]:
        found = self._hosts.get(reached.name)
        if found is None:
            found = self._hosts[reached.name] = {gpu["uuid"]: gpu for gpu in reached.probe.get("gpus", [])}
        return found


def usable(host: HostSpec, reached: Reached) -> list[Mapping[str, Any]]:
    """GPUs that the host's file lets us have, in the order of their index; of one that is cut up by MIG, its slices."""
    gpus = sorted(reached.probe.get("gpus", []), key=lambda g: (g["index"], g.get("slice") or 0))
    whole = [g for g in gpus if not g.get("mig") or g.get("slice") is not None]
    if host.gpus == "all":
        return list(whole)
    return [g for g in whole if g["uuid"] in host.gpus or g["index"] in host.gpus or g.get("parent") in host.gpus]


def gpu_number(gpu: Mapping[str, Any]) -> str:
    """As nvidia-smi and CUDA count: "0", and "0:1" for a slice of it."""
    return str(gpu["index"]) if gpu.get("slice") is None else f"{gpu['index']}:{gpu['slice']}"


def usable_gpus(host: HostSpec, reached: Reached) -> list[str]:
    return [g["uuid"] for g in usable(host, reached)]


def free(host: HostSpec, reached: Reached, claims: Claims, share: int | None = None) -> list[Mapping[str, Any]]:
    """Those that no slot has, or of which so large a `share` is left; on which no process that is not ours holds memory."""
    return claims.unclaimed(host.name, at_hand(host, reached, claims), share)


def at_hand(host: HostSpec, reached: Reached, claims: Claims) -> list[Mapping[str, Any]]:
    """Those on which no process that is not ours holds memory. As long as no other world is asked, they stay the same."""
    leaving = [unit for where, unit in claims.leaving if where == host.name]
    return [g for g in usable(host, reached) if not foreign(g, leaving)]


def free_gpus(host: HostSpec, reached: Reached, claims: Claims, share: int | None = None) -> list[str]:
    return [g["uuid"] for g in free(host, reached, claims, share)]


def alike(reached: Reached, uuids: Collection[str], among: Iterable[str]) -> list[str]:
    """Of some GPUs those of the same name and memory as others."""
    known = {g["uuid"]: (g.get("name"), g.get("memory_total")) for g in reached.probe.get("gpus", [])}
    wanted = {known.get(uuid) for uuid in uuids}
    return [uuid for uuid in among if known.get(uuid) in wanted]


def foreign(gpu: Mapping[str, Any], leaving: Collection[str] = ()) -> bool:
    """Whether a process holds it that runs in no unit of ours, of whichever fleet, and in none that is `leaving`. What the driver
    keeps for itself shows as used and is nobody's.
    """
    held = (p.get("unit") or "" for p in gpu.get("processes", ()) if (p.get("memory") or 0) > FOREIGN_MEMORY)
    return any(not unit.startswith(names.UNIT) and unit not in leaving for unit in held)


def free_port(host: HostSpec, reached: Reached, claims: Claims) -> int | None:
    listening = {entry["port"] for entry in reached.probe.get("listening", [])}
    taken, name, (first, last) = claims.ports, host.name, host.ports
    for port in range(first, last + 1):
        if not taken.get((name, port)) and port not in listening:
            return port
    return None
