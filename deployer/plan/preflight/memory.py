"""The memory of the host (not of its GPUs: that is plan/fitting) against what its replicas may take. Called by preflight."""

from collections.abc import Iterable, Iterator, Sequence

from deployer.plan.artifacts import locked_model
from deployer.plan.model import Finding
from deployer.plan.preflight.finding import WARN
from deployer.plan.preflight.subject import Subject
from deployer.plan.words import size
from deployer.plan.world import World


def limited(found: Iterable[Subject]) -> set[str]:
    """Hosts on which one of them is given so much memory and no more."""
    return {subject.place.host for subject in found if subject.spec.resources.memory is not None}


def findings(world: World, found: Sequence[Subject], standing: Sequence[Subject]) -> Iterator[Finding]:
    """`standing`: all replicas of the limited hosts, those of `found` included: what is promised to them is promised already."""
    promised: dict[str, list[Subject]] = {}
    asked = limited(found)
    for subject in standing:
        known = subject.place.host in asked and subject.reached.probe.get("memory_total", 0)
        if known and subject.spec.resources.memory is not None:
            promised.setdefault(subject.place.host, []).append(subject)
    for subject in found:
        total = subject.reached.probe.get("memory_total", 0)
        if total:
            yield from _weights(world, subject, total)
    for host, mine in sorted(promised.items()):
        yield from _promised(world, host, mine)


def _promised(world: World, host: str, mine: Sequence[Subject]) -> Iterator[Finding]:
    """Limits are a promise; the kernel breaks it when all of them are used at once."""
    total = mine[0].reached.probe["memory_total"]
    wanted = sum(s.spec.resources.memory or 0 for s in mine)
    if wanted > total:
        names = ", ".join(s.name for s in mine)
        what = f"{names} may take {size(wanted)} of memory together, and {host} has {size(total)}"
        why = "when they do, the kernel ends one of them, whichever it picks"
        source = mine[0].source(world, "resources", "memory")
        yield Finding("memory", WARN, what, why, "a lower resources.memory, or another host for one", host, None, source)


def _weights(world: World, subject: Subject, total: int) -> Iterator[Finding]:
    """On the CPU the weights are in the host's memory."""
    locked = locked_model(world.locked, subject.spec)
    if locked is None or subject.place.gpus:
        return
    conversion = world.engines[subject.spec.engine.name].conversion(subject.spec, locked)
    weights = locked.facts.weights_bytes or max((f.size for f in locked.files), default=0)
    least = int(weights * conversion.disk_factor) if conversion is not None else weights
    limit, name, host = subject.spec.resources.memory, subject.place.deployment, subject.place.host
    where = (host, name, subject.source(world, "resources", "memory"))
    if least > total:
        what = f"the weights of {name} are {size(least)}, and {host} has {size(total)} of memory"
        why = "on the CPU the kernel ends it while it loads, or it reads the disk for every token where it maps its files"
        yield Finding("memory", WARN, what, why, "a smaller or quantized model, or a host with more memory", *where)
    elif limit is not None and least > limit:
        what = f"the weights of {name} are {size(least)}, and resources.memory gives it {size(limit)}"
        why = "the kernel ends it at that limit while it loads, or it reads the disk for every token where it maps its files"
        yield Finding("memory", WARN, what, why, f"resources: {{memory: …}} above {size(least)}, or leave it out", *where)
