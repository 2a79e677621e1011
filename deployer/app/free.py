"""What is free on the hosts right now, for somebody who chooses where a replica shall stand. A guide only: the plan decides.
Used by the terminal UI's wizard.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from deployer.app.looking import FleetNow, GpuNow
from deployer.plan.words import count

#: A GPU that nobody uses shows some hundred MiB as used: the driver's own. More than this is somebody's. Bytes.
IDLE_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class Room:
    """`heard`: the host has told of itself in this session. Bytes; `memory_free` is the host's, None when it does not tell."""

    host: str
    heard: bool
    gpus: tuple[GpuNow, ...] = ()
    free: tuple[GpuNow, ...] = ()
    memory_free: int | None = None

    @property
    def gpu_bytes(self) -> int:
        """Memory of the free GPUs."""
        return sum(gpu.sample.memory_total for gpu in self.free)


def rooms(now: FleetNow, hosts: Iterable[str]) -> tuple[Room, ...]:
    """One per host, by name."""
    return tuple(_room(now, name) for name in sorted(hosts))


def _room(now: FleetNow, name: str) -> Room:
    host = now.hosts.get(name)
    if host is None or host.heard_s is None:
        return Room(name, heard=False)
    free = tuple(g for g in host.gpus if g.replica is None and g.sample.memory_used <= IDLE_MEMORY)
    return Room(name, True, host.gpus, free, host.memory_available)


def shortage(found: Collection[Room], gpus: int, replicas: int) -> str | None:
    """Why so many replicas with so many GPUs each do not fit on these hosts as they are; None when they do, or when a host
    that might have room is not heard.
    """
    if not gpus or not found or any(not room.heard for room in found):
        return None
    fit = sum(len(room.free) // gpus for room in found)
    if fit >= replicas:
        return None
    free = sum(len(room.free) for room in found)
    each = f"{count(replicas, 'replica')} with {count(gpus, 'GPU')} each"
    where = _names(found)
    return f"{each} {'wants' if replicas == 1 else 'want'} more than is free: {count(free, 'GPU')} on {where}, room for {fit}"


def _names(found: Collection[Room]) -> str:
    names = [room.host for room in found]
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} hosts"
