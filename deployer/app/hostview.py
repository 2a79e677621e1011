"""What one host said of itself so far, kept for a minute: its GPUs with their history, its engines with their rates. Used by
Looker, under its lock.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from deployer.app.looking import Figures, GpuNow, HostNow
from deployer.errors import DeployerError
from deployer.state.rates import began_again, increase, observed_since, quantile, together
from deployer.state.samples import EngineFigures, GpuSample, Histogram, HostSample, UnitSample

HISTORY = 60  # ticks
GONE_AFTER = 15  # ticks without a word of a GPU
RATE_S, TTFT_S = 10.0, 60.0  # what "now" means for rates, and for a percentile, which needs more requests to be one
#: Of several units of one replica (an old and a new one), the one that is seen.
_FIRST = {"active": 0, "reloading": 1, "activating": 2, "deactivating": 3}


@dataclass(frozen=True, slots=True)
class ReplicaNow:
    """`ttft`: of the last minute, to be put together with those of other replicas."""

    figures: Figures
    ttft: Histogram = Histogram()


class _Gpu:
    def __init__(self, sample: GpuSample) -> None:
        self.sample = sample
        self.history: deque[int | None] = deque(maxlen=HISTORY)
        self.missed = 0

    def hear(self, sample: GpuSample | None) -> None:
        self.history.append(sample.utilization if sample else None)
        self.missed = 0 if sample else self.missed + 1
        self.sample = sample or self.sample


class _Engine:
    """An engine's figures of the last minute. Its rates are made anew only with new figures."""

    def __init__(self) -> None:
        self._seen: deque[EngineFigures] = deque()
        self._now = ReplicaNow(Figures())

    def hear(self, figures: EngineFigures, phase: str | None) -> ReplicaNow:
        """An engine that began again has no past."""
        seen = self._seen
        if not seen or figures.at > seen[-1].at:
            if seen and began_again(seen[-1], figures):
                seen.clear()
            seen.append(figures)
            while figures.at - seen[0].at > TTFT_S:
                seen.popleft()
            self._now = self._made(figures)
        return self._now if phase is None else replace(self._now, figures=replace(self._now.figures, phase=phase))

    def _made(self, last: EngineFigures) -> ReplicaNow:
        recent = next(one for one in self._seen if last.at - one.at <= RATE_S)
        rate, ttft = increase(recent, last), observed_since(self._seen[0].ttft, last.ttft)
        figures = Figures(
            requests_s=rate.requests_s,
            ttft_p95_s=quantile(0.95, ttft),
            tokens_s=rate.tokens_s,
            kv_cache=last.kv_cache,
            queue=_whole(last.waiting),
            running=_whole(last.running),
        )
        return ReplicaNow(figures, ttft)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


class HostView:
    """`state` as in HostNow; times are seconds on the controller's steady clock."""

    def __init__(self, name: str, every_s: float) -> None:
        self.name = name
        self.state = "connecting"
        self.standing: str | None = None
        self.replicas: dict[str, ReplicaNow] = {}  # of the last sample
        self._every_s = every_s
        self._heard: float | None = None
        self._last: HostSample | None = None
        self._error: DeployerError | None = None
        self._gpus: dict[str, _Gpu] = {}
        self._engines: dict[str, _Engine] = {}  # by unit

    def hear(self, sample: HostSample, at: float) -> bool:
        """Whether something that a status rests on may have changed."""
        self._pass(self._missed(at))
        changed = self.state != "up" or sample.standing != self.standing
        self.state, self.standing, self._heard, self._last, self._error = "up", sample.standing, at, sample, None
        said = {gpu.uuid: gpu for gpu in sample.gpus}
        for uuid, gpu in said.items():
            self._gpus.setdefault(uuid, _Gpu(gpu))
        for uuid, known in list(self._gpus.items()):
            known.hear(said.get(uuid))
            if known.missed >= GONE_AFTER:
                del self._gpus[uuid]
        self._hear_engines(sample.units)
        return changed

    def lose(self, error: DeployerError, fell: bool) -> None:
        self.state = "lost" if fell else "unreachable"
        self._error = error

    def shown(self, at: float, owners: dict[str, str]) -> HostNow:
        """`owners`: GPU → replica."""
        last = self._last
        missed = self._missed(at) if self.state != "up" else 0
        gpus = sorted(self._gpus.values(), key=lambda gpu: gpu.sample.index)
        return HostNow(
            self.name,
            self.state,
            None if self._heard is None else max(at - self._heard, 0.0),
            tuple(GpuNow(gpu.sample, owners.get(gpu.sample.uuid), _history(gpu, missed)) for gpu in gpus),
            last.memory_total if last else None,
            last.memory_available if last else None,
            last.load if last else None,
            self._error.what if self._error else None,
            self._error.hint if self._error else None,
        )

    def _missed(self, at: float) -> int:
        """Ticks of which nothing was heard since the last sample."""
        return 0 if self._heard is None else min(max(round((at - self._heard) / self._every_s) - 1, 0), HISTORY)

    def _pass(self, ticks: int) -> None:
        for gpu in self._gpus.values():
            gpu.history.extend([None] * ticks)

    def _hear_engines(self, units: tuple[UnitSample, ...]) -> None:
        ordered = sorted(units, key=lambda unit: _FIRST.get(unit.active, 9))
        self._engines = {unit.unit: self._engines.get(unit.unit) or _Engine() for unit in ordered if unit.figures is not None}
        self.replicas = {}
        for unit in ordered:
            now = ReplicaNow(Figures(phase=unit.phase))
            if unit.figures is not None:
                now = self._engines[unit.unit].hear(unit.figures, unit.phase)
            self.replicas.setdefault(unit.replica, now)


def _history(gpu: _Gpu, missed: int) -> tuple[int | None, ...]:
    return (*gpu.history, *[None] * missed)[-HISTORY:]


def of_deployments(replicas: dict[str, ReplicaNow]) -> dict[str, Figures]:
    """Figures of all replicas ("chat/0") and, over them, of their deployments ("chat")."""
    found = {name: one.figures for name, one in replicas.items()}
    parts: dict[str, list[ReplicaNow]] = {}
    for name, one in sorted(replicas.items()):
        parts.setdefault(name.rpartition("/")[0], []).append(one)
    for name, ones in parts.items():
        figures = [one.figures for one in ones]
        if len(ones) == 1:
            found[name] = figures[0]
            continue
        found[name] = replace(
            figures[0],
            requests_s=_sum(f.requests_s for f in figures),
            ttft_p95_s=quantile(0.95, together(one.ttft for one in ones)),
            tokens_s=_sum(f.tokens_s for f in figures),
            kv_cache=max((f.kv_cache for f in figures if f.kv_cache is not None), default=None),
            queue=_total(f.queue for f in figures),
            running=_total(f.running for f in figures),
            phase=next((f.phase for f in figures if f.phase), None),
        )
    return found


def _sum(values: Iterable[float | None]) -> float | None:
    """Of those that are told; None when none is."""
    told = [value for value in values if value is not None]
    return sum(told) if told else None


def _total(values: Iterable[int | None]) -> int | None:
    told = [value for value in values if value is not None]
    return sum(told) if told else None
