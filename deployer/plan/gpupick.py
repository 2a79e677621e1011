"""Which of a host's free GPUs a replica gets. Pure. Called by seeker.

Several work together: alike before different, joined by NVLink before PCIe, as the driver tells the way between each two
(`gpu_links` of the probe). One alone: where it breaks up no group that is still whole. Else by index.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.agent import wire
from deployer.plan.wishes import GpuKind

#: Farther than two GPUs that share nothing but the machine (NVML_TOPOLOGY_SYSTEM, 50): nobody has said how they are joined.
UNKNOWN = 60
Links = Mapping[frozenset[int], int]


def links(probe: Mapping[str, Any]) -> Links:
    """The way between two GPUs, by their indices: 0 is NVLink, else NVML's level of what they have in common, the nearer the
    smaller.
    """
    return {frozenset((first, second)): level for first, second, level in probe.get("gpu_links") or ()}


def pick(free: Sequence[Mapping[str, Any]], wanted: int, known: Links, smallest: bool) -> tuple[str, ...]:
    """`free`: at least as many as wanted. `smallest`: the smallest memory first, since all are known to hold it."""
    if smallest:
        free = sorted(free, key=lambda gpu: gpu.get("memory_total") or 0)
    if wanted == 0:
        return ()
    if not known or len(free) == wanted and wanted == 1:
        return tuple([gpu["uuid"] for gpu in _alike(free, wanted)])
    groups = [_group(seed, free, wanted, known) for seed in free]
    best = min(range(len(groups)), key=lambda number: (*_cost(groups[number], free, known, smallest), number))
    return tuple(gpu["uuid"] for gpu in sorted(groups[best], key=lambda gpu: gpu["index"]))


def joined(uuids: Sequence[str], probe: Mapping[str, Any]) -> bool | None:
    """Whether all of them have NVLink to each other. None: the driver does not say."""
    known, index = links(probe), {gpu["uuid"]: gpu["index"] for gpu in probe.get("gpus", ())}
    if not known or len(uuids) < 2 or any(uuid not in index for uuid in uuids):
        return None
    numbers = [index[uuid] for uuid in uuids]
    return all(_way(a, b, known) == wire.NVLINK for n, a in enumerate(numbers) for b in numbers[:n])


def _alike(free: Sequence[Mapping[str, Any]], wanted: int) -> Sequence[Mapping[str, Any]]:
    """The first so many of one kind; where no kind has as many, just the first."""
    if wanted > 1:
        kinds: dict[GpuKind, list[Mapping[str, Any]]] = {}
        for gpu in free:
            mine = kinds.setdefault(GpuKind.of(gpu), [])
            mine.append(gpu)
        enough = next((mine for mine in kinds.values() if len(mine) >= wanted), None)
        if enough is not None:
            return enough[:wanted]
    return free[:wanted]


def _group(seed: Mapping[str, Any], free: Sequence[Mapping[str, Any]], wanted: int, known: Links) -> list[Mapping[str, Any]]:
    """The seed and those nearest to what is chosen already."""
    chosen, left = [seed], [gpu for gpu in free if gpu is not seed]
    while len(chosen) < wanted:
        near = [
            (
                GpuKind.of(gpu) != GpuKind.of(seed),
                max(_way(gpu["index"], one["index"], known) for one in chosen),
                sum(_way(gpu["index"], one["index"], known) for one in chosen),
                number,
            )
            for number, gpu in enumerate(left)
        ]
        chosen.append(left.pop(min(near)[-1]))
    return chosen


def _cost(
    group: Sequence[Mapping[str, Any]], free: Sequence[Mapping[str, Any]], known: Links, smallest: bool
) -> tuple[int, int, int, int, int]:
    """Kinds; the worst way within; all ways within; memory; how many links to GPUs that stay free are lost with it."""
    inner = [_way(a["index"], b["index"], known) for n, a in enumerate(group) for b in group[:n]]
    others = [gpu for gpu in free if all(gpu is not one for one in group)]
    broken = sum(_way(a["index"], b["index"], known) == wire.NVLINK for a in group for b in others)
    memory = sum(gpu.get("memory_total") or 0 for gpu in group) if smallest else 0
    return len({GpuKind.of(gpu) for gpu in group}), max(inner, default=0), sum(inner), memory, broken


def _way(one: int, other: int, known: Links) -> int:
    return known.get(frozenset((one, other)), UNKNOWN)
