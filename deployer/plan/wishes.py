"""What a replica wants of a host and of its GPUs: the rules of `placement`, and whether a GPU's memory holds the model. Pure.
Called by place, seeker and nowhere.

Deployments that want the same share one Wish, so that a thousand hosts are looked through once for all of them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from deployer.engines.base import ChecksGpus
from deployer.plan import fit
from deployer.plan.artifacts import locked_model
from deployer.plan.measured import notes, question_of
from deployer.plan.room import ByUuid, usable
from deployer.plan.words import size
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, HostSpec
from deployer.state.observed import Reached

#: Words of a rule that mean slices of a GPU: "MIG", "1g.5gb".
_SLICES = re.compile(r"\bmig\b|\b[1-9]g\.[0-9]+gb\b")


class GpuKind(NamedTuple):
    """What tells GPUs apart for a placement. `slice`: one of MIG. `capability` as in "9.0", "" where the driver does not say."""

    name: str
    memory: int
    slice: bool = False
    capability: str = ""

    @classmethod
    def of(cls, gpu: Mapping[str, Any]) -> "GpuKind":
        return cls(
            str(gpu.get("name") or "GPU"),
            int(gpu.get("memory_total") or 0),
            gpu.get("slice") is not None,
            gpu.get("capability") or "",
        )

    def __str__(self) -> str:
        return f"{self.name} ({size(self.memory)})" if self.memory else self.name


class Wish(NamedTuple):
    """`kinds`: the GPUs that would do. `smallest`: of those, the smallest first, since it is known that they hold it. A tuple: it
    is made for each deployment, and looked things up by.
    """

    labels: tuple[tuple[str, str], ...]
    hosts: tuple[str, ...]
    gpus: int
    kinds: frozenset[GpuKind]
    smallest: bool
    pack: bool
    share: int | None = None  # of each GPU, in percent

    def allows(self, host: HostSpec) -> bool:
        if self.hosts and host.name not in self.hosts:
            return False
        return not self.labels or all(host.labels.get(key) == value for key, value in self.labels)


def allowed(spec: DeploymentSpec, host: HostSpec) -> bool:
    rules = spec.placement
    if rules.hosts and host.name not in rules.hosts:
        return False
    return not rules.labels or all(host.labels.get(k) == v for k, v in rules.labels.items())


def gpus_wanted(world: World, spec: DeploymentSpec) -> int:
    if spec.placement.gpus is not None:
        return spec.placement.gpus
    return world.engines[spec.engine.name].gpus(spec)


class Wishes:
    """Of one plan. What was found out is kept: the kinds of GPUs of the hosts with some labels, and what holds a model."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kinds: dict[tuple[object, ...], Counter[GpuKind]] = {}
        self._holds: dict[tuple[str, GpuKind], bool | None] = {}
        self._made: dict[str, Wish] = {}
        self._shared: dict[Wish, Wish] = {}  # one of all that are equal: what is the same object is quickly found equal
        self.gpus = ByUuid()
        # asked of each engine once: to look whether a value has a protocol's methods is slow
        self._checking = {name: engine for name, engine in world.engines.items() if isinstance(engine, ChecksGpus)}

    def of(self, spec: DeploymentSpec) -> Wish:
        made = self._made.get(spec.name)
        if made is None:
            wish = self.made_for(spec)
            made = self._made[spec.name] = self._shared.setdefault(wish, wish)
        return made

    def made_for(self, spec: DeploymentSpec) -> Wish:
        """As `of`, for one that differs from what its file says: nothing of it is kept."""
        rules = spec.placement
        labels, wanted = tuple(sorted(rules.labels.items())), gpus_wanted(self._world, spec)
        plain = Wish(labels, rules.hosts, wanted, frozenset(), False, rules.strategy == "pack", rules.share)
        if not wanted:
            return plain
        there = self._there(plain)
        by_rule = [kind for kind in there if self.breaks(spec, kind) is None]
        # where no kind would do, the least wrong is tried: plan.guard and plan.fitting then say what it lacks, at its line
        can = [kind for kind in by_rule if self._cannot(spec, kind) is None] or by_rule
        known = {kind: self.holds(spec, kind) for kind in can}
        kinds = [kind for kind, holds in known.items() if holds is not False] or can
        smallest = rules.gpu_memory is not None or all([known[kind] is True for kind in kinds])
        return Wish(labels, rules.hosts, wanted, frozenset(kinds), smallest, plain.pack, plain.share)

    def _cannot(self, spec: DeploymentSpec, kind: GpuKind) -> str | None:
        """Why the engine cannot compute on it what it is asked to."""
        engine = self._checking.get(spec.engine.name) if kind.capability else None
        if engine is None:
            return None
        locked = locked_model(self._world.locked, spec)
        said = engine.check_gpu(spec, locked, kind.name, kind.capability)
        return said[0].message if said else None

    def choice(self, wish: Wish) -> int:
        """How many GPUs of the fleet would do, taken or not."""
        there = self._there(wish) if wish.kinds else {}
        return sum([there[kind] for kind in wish.kinds])

    def _there(self, wish: Wish) -> Mapping[GpuKind, int]:
        """How many of each kind the hosts have that it allows."""
        key = wish.labels, wish.hosts
        if key not in self._kinds:
            found: Counter[GpuKind] = Counter()
            for host in hosts_of(self._world, wish):
                reached = self._world.observed.get(host.name)
                if isinstance(reached, Reached):
                    found.update(GpuKind.of(gpu) for gpu in usable(host, reached))
            self._kinds[key] = found
        return self._kinds[key]

    def holds(self, spec: DeploymentSpec, kind: GpuKind) -> bool | None:
        """Whether the memory of such a GPU suffices, as plan.fit computes it or as a start like it was measured. None: not
        known.
        """
        key = spec.name, kind
        if key not in self._holds:
            question = self._question(spec, kind) if kind.memory else None
            self._holds[key] = fit.quick(question) if question is not None else None
        return self._holds[key]

    def _question(self, spec: DeploymentSpec, kind: GpuKind) -> fit.Question | None:
        return question_of(self._world, spec, fit.Gpu(kind.memory, kind.name, capability=kind.capability), self._notes)

    @cached_property
    def _notes(self) -> Mapping[str, fit.Measured]:
        """Read when the first one asks: where nothing looks for a place, nobody does."""
        return notes(self._world.observed)

    def broken(self, spec: DeploymentSpec, kind: GpuKind) -> str | None:
        """Which rule of its file such a GPU breaks; None when it breaks none."""
        rules = spec.placement
        if rules.gpu is not None and not is_a(kind.name, rules.gpu):
            return f"no {rules.gpu}"
        if rules.gpu_memory is not None and kind.memory < rules.gpu_memory:
            return f"less than {size(rules.gpu_memory)}"
        return None

    def breaks(self, spec: DeploymentSpec, kind: GpuKind) -> str | None:
        """As `broken`, and what goes without saying: a slice is only for those who ask for one, or whom it surely holds."""
        broken = self.broken(spec, kind)
        if broken is not None or not kind.slice:
            return broken
        if gpus_wanted(self._world, spec) > 1:
            return "a slice, of which a process can use only one"
        rules = spec.placement
        named = rules.gpu is not None and _SLICES.search(rules.gpu.lower()) is not None
        if named or (rules.gpu is None and (rules.gpu_memory is not None or self.holds(spec, kind))):
            return None
        return "a slice, for which gpu: or gpu_memory: must ask"

    def why_not(self, spec: DeploymentSpec, kind: GpuKind) -> str | None:
        """Why such a GPU will not do, in a few words."""
        broken = self.breaks(spec, kind)
        if broken is not None:
            return broken
        if kind in self.of(spec).kinds:
            return None
        question = self._question(spec, kind)
        source = "measured" if question is not None and question.measured is not None else "computed"
        return self._cannot(spec, kind) or f"does not hold it ({source})"


def is_a(name: str, wanted: str) -> bool:
    """Whether the driver's name has these words, in this order and whole: an L40S is no L4, an A100-SXM4-80GB is an A100."""
    have, words = _words(name), _words(wanted)
    return any(have[at : at + len(words)] == words for at in range(len(have) - len(words) + 1))


def _words(text: str) -> list[str]:
    return re.split(r"[\s_-]+", text.strip().lower())


def hosts_of(world: World, wish: Wish) -> Iterable[HostSpec]:
    """The hosts that its labels and names allow."""
    hosts = world.fleet.hosts
    named = [hosts[name] for name in wish.hosts if name in hosts] if wish.hosts else hosts.values()
    return [host for host in named if wish.allows(host)]
