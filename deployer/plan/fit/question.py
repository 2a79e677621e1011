"""What a fit is asked about: one model, one engine's settings, one GPU. Values only; answer.py solves it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from deployer.engines.memory import MemorySettings
from deployer.state.locked import ModelFacts

GIB = 1 << 30
#: What an engine was told; tests and other callers may make one without a deployment.
Settings = MemorySettings


class Gpu(NamedTuple):
    """`memory` in bytes, as the driver says it. `capability` as in "9.0", "" where it does not say that."""

    memory: int
    name: str = ""
    cpu: bool = False  # it is the host's memory
    capability: str = ""

    @property
    def roomy(self) -> bool:
        """vLLM picks larger batches on GPUs of 70 GiB and more that are no A100 (EngineArgs.get_batch_defaults)."""
        return self.memory >= 70 * GIB and not self.cpu and "a100" not in self.name.lower()


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes of one GPU, the fullest, or of the host; None: not said. `cache` is all that there was for it, `usable` what it and
    the rest were taken from, `host` and `gpu` what the processes held in the end. `context` is the one that `concurrency` is for.
    """

    at: str = ""
    host_name: str = ""
    context: int | None = None
    usable: int | None = None
    weights: int | None = None
    cache: int | None = None
    overhead: int | None = None
    tokens: int | None = None
    concurrency: float | None = None
    host: int | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """`measured`: what a start like this one said and held, where a host has noted one."""

    facts: ModelFacts
    settings: Settings
    gpu: Gpu
    measured: Measured | None = None

    @property
    def context(self) -> int | None:
        return self.settings.context or self.facts.context

    @property
    def budget(self) -> int:
        """Bytes of its memory that this replica may have."""
        share = self.settings.share
        return self.gpu.memory if share == 1.0 else int(self.gpu.memory * share)

    @property
    def batched_tokens(self) -> int:
        ample = 16384 if self.gpu.memory >= 160 * GIB else 8192
        return self.settings.batched_tokens or (ample if self.gpu.roomy else 2048)

    @property
    def sequences(self) -> int:
        return self.settings.sequences or (1024 if self.gpu.roomy else 256)

    def with_context(self, context: int) -> "Question":
        return replace(self, settings=self.settings._replace(context=context))

    def with_gpu(self, memory: int) -> "Question":
        return replace(self, gpu=self.gpu._replace(memory=memory))

    def with_tensor_parallel(self, size: int) -> "Question":
        changed = size != self.settings.tensor_parallel
        return self.with_settings(self.settings._replace(tensor_parallel=size)) if changed else self

    def with_settings(self, settings: Settings) -> "Question":
        """Other settings than those that something was measured with."""
        return replace(self, settings=settings, measured=None)


class Unknown(Exception):
    """Something that the formulas do not know. The text says what; nobody guesses."""
