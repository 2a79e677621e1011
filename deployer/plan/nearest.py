"""What would give a replica a place: another rule, fewer GPUs, fewer tokens, another one's move. Called by nowhere. Pure.

Everything said here was computed on the claims as they are, each on its own. Nothing is changed by asking.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.engines.memory import memory_settings
from deployer.plan import fit
from deployer.plan.apart import Neighbours
from deployer.plan.artifacts import adapter_rank, locked_model
from deployer.plan.room import Claims, free, gpu_number
from deployer.plan.roster import Place
from deployer.plan.seeker import Seeker
from deployer.plan.wishes import GpuKind, Wish, Wishes, hosts_of
from deployer.plan.words import count
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.observed import Reached

#: Ways that are said at once; hosts whose replicas are tried elsewhere.
MOST, TRIED = 3, 50


@dataclass(frozen=True, slots=True)
class _Asked:
    world: World
    wishes: Wishes
    claims: Claims
    beside: Neighbours
    seeker: Seeker
    spec: DeploymentSpec
    number: int
    wish: Wish

    def hosts(self, wish: Wish) -> Iterator[tuple[HostSpec, Reached]]:
        """Those that a wish allows and that answered, by name."""
        for host in sorted(hosts_of(self.world, wish), key=lambda host: host.name):
            reached = self.world.observed.get(host.name)
            if isinstance(reached, Reached):
                yield host, reached

    def room(self, wish: Wish, host: HostSpec, reached: Reached) -> Place | None:
        if self.beside.why_not(self.spec, host) is not None:
            return None
        return self.seeker.room(self.spec, self.number, wish, host, reached)


def ways(
    world: World, wishes: Wishes, claims: Claims, beside: Neighbours, seeker: Seeker, spec: DeploymentSpec, number: int
) -> Sequence[str]:
    """The nearest first, at most a few."""
    asked = _Asked(world, wishes, claims, beside, seeker, spec, number, wishes.of(spec))
    found = [
        *_returning(asked),
        *_held(asked),
        *_other_hosts(asked),
        *_other_gpus(asked),
        *_fewer_gpus(asked),
        *_on_smaller(asked),
    ]
    return (found if len(found) >= MOST else [*found, *_moving(asked)])[:MOST]


def _held(asked: _Asked) -> Iterable[str]:
    """Hosts that would have room and are held."""
    for host, reached in asked.hosts(asked.wish):
        if host.state in ("cordoned", "drained") and asked.room(asked.wish, host, reached) is not None:
            yield f"{host.name} has room, but is {host.state}: deployer hosts uncordon {host.name}, or state: active in its file"
            return


def _returning(asked: _Asked) -> Iterable[str]:
    """Shares that this very plan makes smaller: what they give back is free once it is done."""
    claims = asked.claims
    for place, much in sorted(claims.returning.items(), key=lambda item: (item[0].deployment, item[0].number)):
        host, reached = asked.world.fleet.hosts[place.host], asked.world.observed[place.host]
        if not isinstance(reached, Reached) or not asked.wish.allows(host) or host.state != "active":
            continue
        for gpu in place.gpus:
            claims.gpus[place.host, gpu] -= much
        suffices = asked.room(asked.wish, host, reached)
        for gpu in place.gpus:
            claims.gpus[place.host, gpu] += much
        if suffices is not None:
            yield f"{place.deployment} gives back {much}% of its GPU: first deployer apply {place.deployment}, then the rest"
            return


def _other_hosts(asked: _Asked) -> Iterable[str]:
    """Hosts that its labels or names leave out."""
    rules = asked.spec.placement
    if not rules.labels and not rules.hosts:
        return
    loose = rules.model_copy(update={"labels": {}, "hosts": ()})
    wish = asked.wishes.made_for(asked.spec.model_copy(update={"placement": loose}))
    others = [
        host
        for host, reached in asked.hosts(wish)
        if not asked.wish.allows(host) and host.state == "active" and asked.room(wish, host, reached) is not None
    ]
    if others:
        first = others[0]
        missing = ", ".join(f"{key}: {value}" for key, value in rules.labels.items() if first.labels.get(key) != value)
        lacks = " and ".join(
            [
                *([f"has no label {missing}"] if missing else []),
                *(["is not in placement.hosts"] if rules.hosts and first.name not in rules.hosts else []),
            ]
        )
        more = f" (and {count(len(others) - 1, 'host')} more)" if len(others) > 1 else ""
        yield f"{first.name} has room{more}, but {lacks}"


def _other_gpus(asked: _Asked) -> Iterable[str]:
    """GPUs that its own rules leave out."""
    rules = asked.spec.placement
    if rules.gpu is None and rules.gpu_memory is None:
        return
    loose = asked.spec.model_copy(update={"placement": rules.model_copy(update={"gpu": None, "gpu_memory": None})})
    wish = asked.wishes.made_for(loose)
    for host, reached in asked.hosts(wish):
        place = asked.room(wish, host, reached) if host.state == "active" else None
        if place is not None:
            kind = _kinds(reached)[place.gpus[0]]
            holds = asked.wishes.holds(asked.spec, kind)
            if holds is not False:
                known = "holds it (computed)" if holds else "may hold it: that is not known"
                yield f"{host.name} has a free {kind}, which {known}, but it is {asked.wishes.broken(asked.spec, kind)}"
                return


def _fewer_gpus(asked: _Asked) -> Iterable[str]:
    """A smaller tensor parallel on the host with the most free GPUs."""
    question = _question(asked)
    if question is None or not question.settings.paged or asked.spec.placement.gpus is not None:
        return
    settings = question.settings
    if asked.wish.gpus != settings.tensor_parallel or settings.tensor_parallel < 2:
        return
    for host, reached in asked.hosts(asked.wish):
        left = asked.seeker.free(asked.wish, host, reached) if host.state == "active" else []
        for size in (n for n in (8, 4, 2, 1) if n < settings.tensor_parallel and n <= len(left)):
            if asked.beside.why_not(asked.spec, host) is None and _fits(question.with_tensor_parallel(size), left[:size]):
                yield f"tensor_parallel {size} fits on {host.name}, which has {count(len(left), 'GPU')} free (computed)"
                return


def _fits(question: fit.Question, gpus: Sequence[Mapping[str, Any]]) -> bool:
    found = [fit.quick(_on(question, GpuKind.of(gpu))) for gpu in gpus]
    return all(one is True for one in found)


def _on_smaller(asked: _Asked) -> Iterable[str]:
    """The largest free GPU that does not hold it as it is written, and what would make it."""
    question = _question(asked)
    if question is None:
        return
    best: tuple[int, str, GpuKind, str] | None = None
    for host, reached in asked.hosts(asked.wish):
        for gpu in free(host, reached, asked.claims, asked.wish.share) if host.state == "active" else ():
            kind = GpuKind.of(gpu)
            if kind not in asked.wish.kinds and asked.wishes.breaks(asked.spec, kind) is None:
                ranked = (-kind.memory, host.name, kind, gpu_number(gpu))
                best = ranked if best is None or ranked < best else best
    if best is not None:
        found = fit.answer(_on(question, best[2]))
        if found.unknown is None and not found.fits and (said := _smaller(found)):
            yield f"{best[1]} GPU {best[3]}, a free {best[2]}, would hold it with {said} (computed)"


def _smaller(found: fit.Answer) -> str:
    """What of the ways of a fit concerns the model and not the hardware."""
    _, text = fit.lacking(found)
    keys = ("max_model_len", "quantization", "kv_cache", "cache_type", "batch.", "args: ", "resources.")
    return ", or ".join(way for way in text.split(" · or ") if way.startswith(keys))


def _moving(asked: _Asked) -> Iterable[str]:
    """One slot that could stand elsewhere, and whose room would suffice."""
    if not asked.wish.gpus:
        return
    for tried, (host, reached) in enumerate(asked.hosts(asked.wish)):
        if tried >= TRIED or host.state != "active":
            continue
        for old in sorted(asked.beside.on(host.name), key=lambda p: (len(p.gpus), p.deployment, p.number)):
            spec = asked.world.fleet.deployments.get(old.deployment)
            if spec is None or not old.gpus or old.deployment == asked.spec.name:
                continue
            asked.claims.release(old)
            suffices = asked.room(asked.wish, host, reached)
            asked.claims.take(old)
            there = asked.seeker.could_move(spec, old) if suffices is not None else None
            if there is not None:
                how = f" (placement: {{hosts: [{there.host}]}} in its file moves it)" if spec.replicas == 1 else ""
                yield f"{old.deployment}/{old.number} could stand on {there.host}; {host.name} would then have room{how}"
                return


def _question(asked: _Asked) -> fit.Question | None:
    """For no GPU yet: see _on."""
    spec, world = asked.spec, asked.world
    settings, locked = memory_settings(spec, adapter_rank(world, spec)), locked_model(world.locked, spec)
    return None if settings is None or locked is None else fit.Question(locked.facts, settings, fit.Gpu(0))


def _on(question: fit.Question, kind: GpuKind) -> fit.Question:
    return fit.Question(question.facts, question.settings, fit.Gpu(kind.memory, kind.name, capability=kind.capability))


def _kinds(reached: Reached) -> dict[str, GpuKind]:
    return {gpu["uuid"]: GpuKind.of(gpu) for gpu in reached.probe.get("gpus", ())}
