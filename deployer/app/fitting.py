"""Which hosts could serve a model, and how, without a deployment: every engine that reads it, on every host, with the smallest
number of GPUs that holds it. Called by `deployer fit` and by app.catalogfits.

`survey(model, wish, observed)` is all, and touches nothing. Room is counted in whole GPUs; what stands on them is said beside
it, and placing is the plan's matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import ValidationError

from deployer.engines import ENGINES
from deployer.engines.base import ChecksGpus, Complaint, TakesFiles
from deployer.engines.memory import MemorySettings, memory_settings
from deployer.errors import UsageError
from deployer.plan import fit
from deployer.plan.conversions import memory_needed
from deployer.plan.measured import notes, with_measured
from deployer.plan.room import foreign, usable
from deployer.plan.words import count
from deployer.spec.models import DeploymentSpec, EngineChoice, HostSpec, ModelSpec, Placement
from deployer.state.locked import LockedModel
from deployer.state.observed import Observed, Reached

#: In the order in which they are tried when nobody names one.
ORDER = ("vllm", "ctranslate2", "llamacpp", "transformers", "ollama")
SIZES = (1, 2, 4, 8)
Verdict = Literal["fits", "tight", "no", "unknown"]
_FILE = HostSpec(name="any", connection="local")  # of a host of which nobody gave it: all its GPUs count
_RANK: Mapping[Verdict, int] = {"fits": 0, "tight": 1, "unknown": 2, "no": 3}


@dataclass(frozen=True, slots=True)
class Wish:
    """None: as the engine and the model have it; `tensor_parallel` None: as few GPUs as do. `base`: a deployment whose settings
    count where nothing else is said; `rank`: the highest of its adapters. `settings`: by engine, the best first, those to begin
    with where there is no such deployment.
    """

    engine: str | None = None
    context: int | None = None
    quantization: str | None = None
    tensor_parallel: int | None = None
    base: DeploymentSpec | None = None
    rank: int = 0
    settings: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """One engine on one host, on `gpus` of its GPUs that are alike (0: on the CPU). `what`: the terms in a line, or why nothing
    is known; `would`: what would fit where this does not. `free`: GPUs of this kind on which nothing stands now.
    """

    host: str
    engine: str
    verdict: Verdict
    gpus: int
    device: str
    memory: int
    free: int
    there: int
    settings: Mapping[str, Any]
    what: str
    would: str = ""
    answer: fit.Answer | None = None
    converting: int = 0  # bytes of the host's memory, when the model is converted first

    @property
    def serves(self) -> bool:
        return self.verdict in ("fits", "tight")

    @property
    def room(self) -> bool:
        """Could start now: nobody has to make place first."""
        return self.serves and self.free >= self.gpus

    def json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "engine": self.engine,
            "verdict": self.verdict,
            "gpus": self.gpus,
            "device": {"name": self.device, "memory": self.memory, "there": self.there, "free": self.free},
            "settings": dict(self.settings),
            "what": self.what,
            "would_fit": self.would or None,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """`ways`: best first on each host. `unread`: engine → why it does not serve this model at all; `engines`: those that do.
    `silent`: host → why.
    """

    model: LockedModel
    ways: tuple[Way, ...]
    unread: Mapping[str, str]
    silent: Mapping[str, str]
    engines: Sequence[str] = ()

    @property
    def serves(self) -> bool | None:
        """Whether some host could. None: none that is known to, and nobody can tell it of all of them."""
        if any(way.serves for way in self.ways):
            return True
        return None if self.unknown or self.left_open else False

    @property
    def unknown(self) -> bool:
        """Whether nobody can tell it of one way at least."""
        return any(way.verdict == "unknown" for way in self.ways)

    @property
    def left_open(self) -> bool:
        """Whether a host that did not answer might: some engine reads the model."""
        return bool(self.silent and self.engines)

    def best(self, host: str) -> Way | None:
        """The first way of a host that serves; None when none does."""
        return next((way for way in self.ways if way.host == host and way.serves), None)


@dataclass(frozen=True, slots=True)
class _Kind:
    """GPUs of a host that are alike; none: its CPU."""

    name: str
    memory: int
    there: int
    free: int
    capability: str | None
    slice: bool = False


def survey(model: LockedModel, wish: Wish, observed: Observed, hosts: Mapping[str, HostSpec] | None = None) -> Survey:
    """`hosts`: their files, which may leave GPUs to others. Raises UsageError for a wish that the engine named in it cannot
    have.
    """
    silent = {name: found.message for name, found in observed.items() if not isinstance(found, Reached)}
    engines, unread = _readers(model, wish)
    search, ways = _Search(model, wish, notes(observed)), list[Way]()
    for host, found in sorted(observed.items()):
        if isinstance(found, Reached):
            kinds = _kinds((hosts or {}).get(host, _FILE), found)
            tried = (search.best(host, engine, kind) for engine in engines for kind in kinds)
            mine = [way for way in tried if way is not None]
            ways += sorted(mine, key=lambda way: (_RANK[way.verdict], engines.index(way.engine), way.gpus, way.memory))
    return Survey(model, tuple(ways), unread, silent, tuple(engines))


def _asked(wish: Wish) -> Sequence[str]:
    """The best first, as far as it is said for this model, then in an order that knows no model."""
    if wish.engine:
        return (wish.engine,)
    return list(dict.fromkeys((*(name for name in wish.settings if name in ORDER), *ORDER)))


def _readers(model: LockedModel, wish: Wish) -> tuple[list[str], dict[str, str]]:
    """Engines that read this model, and why others do not."""
    gguf = any(file.path.endswith(".gguf") for file in model.files)
    unread: dict[str, str] = {}
    found = []
    for name in _asked(wish):
        if name not in ENGINES:
            raise UsageError(f"there is no engine {name}", hint=f"there are: {', '.join(ENGINES)}")
        try:
            spec = deployment(model, wish, name, 0)
        except UsageError as error:
            if wish.engine:
                raise
            unread[name] = error.what
            continue
        if isinstance(ENGINES[name], TakesFiles) != gguf:
            unread[name] = "it serves one GGUF file" if not gguf else "it reads no GGUF file"
        elif said := ENGINES[name].check_model(spec, model):
            unread[name] = said[0].message
        else:
            found.append(name)
    return found, unread


def deployment(model: LockedModel, wish: Wish, engine: str, gpus: int) -> DeploymentSpec:
    """What the wish would be as a deployment with so many GPUs. Raises UsageError."""
    base = wish.base if wish.base is not None and wish.base.engine.name == engine else None
    said: dict[str, Any] = base.engine.settings.model_dump(exclude_unset=True) if base is not None else {}
    said = said or dict(wish.settings.get(engine) or {})
    fields = ENGINES[engine].Settings.model_fields
    if wish.context is not None and "max_model_len" in fields:  # others take requests of any length
        said["max_model_len"] = wish.context
    if wish.quantization is not None:
        if "quantization" not in fields:
            raise UsageError(f"{engine} has no quantization", hint="a GGUF file is quantized already: name another file")
        said["quantization"] = wish.quantization
    if "tensor_parallel" in fields:
        said["tensor_parallel"] = max(1, gpus // _stages(wish, engine))
    elif wish.tensor_parallel not in (None, 1):
        raise UsageError(f"{engine} has no tensor_parallel", hint="vllm has")
    if not gpus and "variant" in fields:
        said["variant"] = "cpu"
    try:
        settings = ENGINES[engine].Settings.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{engine} cannot have {'.'.join(map(str, first['loc']))} {first['input']!r}: {first['msg']}") from None
    source = ModelSpec(repo=model.name) if model.source == "hub" else ModelSpec(path="model")
    made = base or DeploymentSpec(name="fit", model=source, engine=EngineChoice(name=engine, settings=settings))
    chosen = EngineChoice(name=engine, settings=settings)
    share = made.placement.gpu_share if gpus else None
    return made.model_copy(update={"engine": chosen, "placement": Placement(gpus=gpus, gpu_share=share)})


def _stages(wish: Wish, engine: str) -> int:
    """Stages of the pipeline of one replica, each on GPUs of its own."""
    base = wish.base.engine if wish.base is not None and wish.base.engine.name == engine else None
    return int(getattr(base.settings, "pipeline_parallel", 1)) if base is not None else 1


def _kinds(file: HostSpec, reached: Reached) -> list[_Kind]:
    taken = _taken(reached)
    groups: dict[tuple[str, int, bool], list[Any]] = {}
    for gpu in usable(file, reached):
        key = gpu.get("name", ""), gpu.get("memory_total", 0), gpu.get("slice") is not None
        groups.setdefault(key, []).append(gpu)
    found = []
    for (name, memory, cut), gpus in sorted(groups.items()):
        free = [g for g in gpus if g["uuid"] not in taken and not foreign(g)]
        found.append(_Kind(name, memory, len(gpus), len(free), gpus[0].get("capability"), cut))
    return found or [_Kind("", reached.probe.get("memory_total", 0), 0, 0, None)]


def _taken(reached: Reached) -> set[str]:
    """GPUs of replicas, of this fleet and of others."""
    found = {uuid for other in reached.probe.get("other_fleets", []) for uuid in other.get("gpus", ())}
    for record in reached.probe.get("records", {}).values():
        for resource in record.get("resources", ()):
            found.update(resource.get("payload", {}).get("gpus") or ())
    return found


class _Search:
    """One model and one wish, asked of many hosts: what is the same on several of them is computed once."""

    def __init__(self, model: LockedModel, wish: Wish, known: Mapping[str, fit.Measured]) -> None:
        self._model, self._wish, self._known = model, wish, known
        self._answers: dict[tuple[str, int, fit.Gpu], fit.Answer] = {}
        self._best: dict[tuple[str, _Kind], Way | None] = {}

    def best(self, host: str, engine: str, kind: _Kind) -> Way | None:
        """With the first number of GPUs that serves, else the last that was tried; None where there are too few of them. Hosts
        whose GPUs are alike differ in how many of these are free.
        """
        key = (engine, replace(kind, free=0))
        if key not in self._best:
            self._best[key] = self._first(host, engine, kind)
        way = self._best[key]
        return replace(way, host=host, free=kind.free) if way is not None else None

    def _first(self, host: str, engine: str, kind: _Kind) -> Way | None:
        last: Way | None = None
        for gpus in self._numbers(engine, kind):
            last = self._way(host, engine, kind, gpus)
            if last.serves:
                break
        return last

    def _numbers(self, engine: str, kind: _Kind) -> Sequence[int]:
        wanted = self._wish.tensor_parallel
        if not kind.there:
            return () if wanted not in (None, 1) else (0,)
        if "tensor_parallel" not in ENGINES[engine].Settings.model_fields:
            return (1,)
        stages = _stages(self._wish, engine)
        sizes = [stages * size for size in (SIZES if wanted is None else (wanted,))]
        return tuple(size for size in sizes if size <= (1 if kind.slice else kind.there))  # a process can use one slice

    def _way(self, host: str, engine: str, kind: _Kind, gpus: int) -> Way:
        spec = deployment(self._model, self._wish, engine, gpus)
        shown = spec.engine.settings.model_dump(exclude_unset=True, exclude_defaults=True)
        way = Way(host, engine, "unknown", gpus, kind.name, kind.memory, kind.free, kind.there, shown, "")
        complaint = _complaint(spec, self._model, kind)
        if complaint is not None:
            return replace(way, verdict="no", what=complaint.message, would=complaint.hint or "")
        converting = memory_needed(self._model, ENGINES[engine].conversion(spec, self._model)) if self._model.bytes else 0
        way = replace(way, converting=converting)
        settings = memory_settings(spec, self._wish.rank)
        if settings is None or not kind.memory:
            where = "what it takes of a host's memory" if not gpus else "what it takes of a GPU"
            what = f"{where} is not computed" if kind.memory else "the host does not say how much memory it has"
            return replace(way, what=what)
        answer = self._answer(engine, gpus, kind, settings)
        if answer.unknown is not None:
            return replace(way, what=fit.line(answer), answer=answer)
        verdict: Verdict = ("tight" if answer.tight else "fits") if answer.fits else "no"
        would = "" if answer.fits else fit.lacking(answer)[1]
        return replace(way, verdict=verdict, what=fit.line(answer), would=would, answer=answer)

    def _answer(self, engine: str, gpus: int, kind: _Kind, settings: MemorySettings) -> fit.Answer:
        gpu = fit.Gpu(kind.memory, kind.name, not kind.there, kind.capability or "")
        key = (engine, gpus, gpu)
        if key not in self._answers:
            context = self._wish.context
            settings = settings if context is None else settings._replace(context=context)
            asked = fit.Question(self._model.facts, settings, gpu)
            self._answers[key] = fit.answer(with_measured(asked, engine, self._model, self._known))
        return self._answers[key]


def _complaint(spec: DeploymentSpec, model: LockedModel, kind: _Kind) -> Complaint | None:
    """What the engine says against these GPUs, or against the settings."""
    engine = ENGINES[spec.engine.name]
    said = [c for c in engine.complaints(spec) if c.path[:1] == ("engine",)]
    if not said and kind.there and kind.capability and isinstance(engine, ChecksGpus):
        said = list(engine.check_gpu(spec, model, kind.name, kind.capability))
    return said[0] if said else None


def device(way: Way, gpus: int | None = None) -> str:
    """As "2 of 8 H100, 80 GiB", or "CPU". `gpus`: so many instead of the way's."""
    size = f"{round(way.memory / fit.GIB)} GiB"
    return f"{way.gpus if gpus is None else gpus} of {way.there} {way.device or 'GPUs'}, {size}" if way.there else f"CPU, {size}"


def occupied(way: Way) -> str:
    """What keeps a way that fits from starting at once; "" when nothing does."""
    if not way.serves or way.room:
        return ""
    return f"{count(way.free, 'GPU')} of them free now"
