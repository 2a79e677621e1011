"""A second place for a replica on its own host, so that the new one can stand beside the old. Called by rollout. Pure.

Room must be proven: another GPU that is free, or memory that suffices on the same one; on the CPU, memory of the host. What
is not known is no proof.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.engines.memory import memory_settings
from deployer.plan import fit
from deployer.plan.artifacts import adapter_rank, locked_model
from deployer.plan.model import Change
from deployer.plan.room import WHOLE, Claims, alike, free_gpus, free_port
from deployer.plan.roster import Place
from deployer.plan.words import size
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.observed import Reached

#: Memory of a GPU that stays free beside what is proven: other processes' ups and downs.
SPARE_GPU = 512 << 20
#: Memory of a host that stays free.
SPARE_HOST = 1 << 30
#: What an engine on the CPU may take besides its weights, where nobody has said or measured it.
UNMEASURED = 8 << 30


@dataclass(slots=True)
class Room:
    """What is taken while second places are being found: ports and GPUs, and bytes of memory by host and by GPU."""

    claims: Claims
    host_memory: dict[str, int] = field(default_factory=dict)
    gpu_memory: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """`why`: the proof in words."""

    place: Place
    why: str


def placed_beside(change: Change) -> bool:
    """The new one has a port of its own already, as a way back has."""
    assert change.before is not None
    assert change.after is not None
    return bool(change.after.payload["port"] != change.before.payload["port"])


def second(world: World, spec: DeploymentSpec, change: Change, room: Room) -> Found | str:
    """A place for the new one while the old one runs, claimed in `room`; or why there is none."""
    host, reached = world.fleet.hosts.get(change.host), world.observed.get(change.host)
    before, after = change.before, change.after
    assert before is not None
    assert after is not None
    assert isinstance(reached, Reached)
    if host is None:
        return f"{change.host} is not in the files any more"
    fixed = placed_beside(change)
    port = int(after.payload["port"]) if fixed else free_port(host, reached, room.claims)
    if port is None:
        return f"{host.name} has no second port free in {host.ports[0]}-{host.ports[1]}"
    old, gpus, share = tuple(before.payload["gpus"]), tuple(after.payload["gpus"]), after.payload.get("share")
    said: str | _No
    if not gpus:
        said = _host_memory(world, spec, change, reached, room)
    elif not set(gpus) & set(old):  # it moves to them, and they are claimed for it
        said = "its GPUs are others than the old one's"
    elif share is not None:
        gpus, said = _share(host, reached, gpus, share, room, fixed=fixed)
    elif fixed:
        said = _gpu_memory(world, spec, reached, gpus, room)
    else:
        free = alike(reached, gpus, free_gpus(host, reached, room.claims))
        if len(free) >= len(gpus):
            gpus, said = tuple(free[: len(gpus)]), "another GPU is free" if len(gpus) == 1 else "other GPUs are free"
        else:
            said = _gpu_memory(world, spec, reached, gpus, room)
    if isinstance(said, _No):
        return said.why
    place = Place(spec.name, int(after.payload["slot"]), host.name, port, gpus, share)
    room.claims.take(place)
    return Found(place, said)


@dataclass(frozen=True, slots=True)
class _No:
    why: str


def _share(
    host: HostSpec, reached: Reached, gpus: tuple[str, ...], share: int, room: Room, *, fixed: bool
) -> tuple[tuple[str, ...], str | _No]:
    """A second share, of its own GPUs or of others. What others have of them and do not use is no room."""
    if fixed:  # it is claimed where it will stand, with the old one beside it
        if all(room.claims.gpus[host.name, gpu] <= WHOLE for gpu in gpus):
            return gpus, "its GPUs have a share for each of both"
        return gpus, _No(f"its GPU has no second {share}% beside the others")
    found = alike(reached, gpus, free_gpus(host, reached, room.claims, share))
    if len(found) < len(gpus):
        return gpus, _No(f"no GPU of {host.name} has a second {share}% free")
    return tuple(found[: len(gpus)]), f"another {share}% of a GPU is free"


def _gpu_memory(world: World, spec: DeploymentSpec, reached: Reached, gpus: tuple[str, ...], room: Room) -> str | _No:
    known = {g["uuid"]: g for g in reached.probe.get("gpus", [])}
    if any(uuid not in known for uuid in gpus):
        return _No(f"{reached.name} does not say how much memory its GPUs have")
    least: tuple[int, int] | None = None
    for uuid in gpus:
        gpu = known[uuid]
        need = _need(world, spec, fit.Gpu(gpu["memory_total"], gpu.get("name", ""), capability=gpu.get("capability") or ""))
        if need is None:
            return _No("no other GPU is free, and how much memory of one it takes is not known")
        free = gpu["memory_total"] - gpu["memory_used"] - room.gpu_memory.get(uuid, 0) - SPARE_GPU
        if need > free:
            return _No(f"no other GPU is free, and a second one wants {size(need)} of the {size(max(0, free))} left on its own")
        room.gpu_memory[uuid] = room.gpu_memory.get(uuid, 0) + need
        least = (need, free) if least is None or free - need < least[1] - least[0] else least
    assert least is not None
    return f"{size(least[0])} of the {size(least[1])} left on its GPU"


def _need(world: World, spec: DeploymentSpec, gpu: fit.Gpu) -> int | None:
    """Bytes of one GPU that a replica takes. vLLM takes its whole share, whatever it needs."""
    settings, locked = memory_settings(spec, adapter_rank(world, spec)), locked_model(world.locked, spec)
    if settings is None or locked is None or settings.cpu:
        return None
    found = fit.answer(fit.Question(locked.facts, settings, gpu))
    if found.unknown is not None:
        return None
    return max(found.total, found.usable) if settings.paged and settings.cache_bytes is None else found.total


def _host_memory(world: World, spec: DeploymentSpec, change: Change, reached: Reached, room: Room) -> str | _No:
    """The limit that was set, else what the old one takes now and a quarter, else a bold guess upwards."""
    need, whence = _host_need(world, spec, change, reached.probe)
    available = reached.probe.get("memory_available")
    if available is None:
        return _No(f"{reached.name} does not say how much memory it has")
    free = available - room.host_memory.get(reached.name, 0) - SPARE_HOST
    if need > free:
        hint = "" if spec.resources.memory is not None else "; resources.memory would say how much it really takes"
        return _No(f"a second one wants {size(need)} ({whence}), {size(max(0, free))} are left on {reached.name}{hint}")
    room.host_memory[reached.name] = room.host_memory.get(reached.name, 0) + need
    return f"{size(need)} ({whence}) of the {size(free)} left"


def _host_need(world: World, spec: DeploymentSpec, change: Change, probe: Mapping[str, object]) -> tuple[int, str]:
    assert change.before is not None
    if spec.resources.memory is not None:
        return spec.resources.memory, "resources.memory"
    units = probe.get("units")
    found = units if isinstance(units, list) else []
    unit = change.before.payload["unit"]
    measured = next((u.get("memory") for u in found if u["name"] == unit), None)
    if measured:
        return int(measured) * 5 // 4, "what the old one takes, and a quarter"
    locked = locked_model(world.locked, spec)
    weights = 2 * locked.bytes if locked is not None else 0
    return weights + UNMEASURED, "not measured yet"
