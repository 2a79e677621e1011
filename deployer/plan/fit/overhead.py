"""What an engine holds on a GPU besides weights and cache. Called by answer.py.

vLLM profiles it after loading, so nobody knows it before; these are the terms it is made of
(vllm/v1/worker/gpu_worker.py, determine_available_memory), with constants taken from logs that people published. MARGIN is
how far such logs were from the sum.
"""

from dataclasses import dataclass

from deployer.plan.fit.lora import adapter_bytes
from deployer.plan.fit.question import GIB, Question

#: Published logs lie within this of the computed sum: 0.4 to 3.3 GiB for seven starts (tests/plan/test_fit.py has them).
MARGIN = GIB

#: CUDA context and what libraries take outside of torch. Measured: 0.16 GiB (vllm pull 12126), 0.20 (14447), 0.35
#: (issue 10517), each on one GPU; NCCL adds to it with more GPUs (pull 10511: 1.79 to 3.58 GiB on H100, 13061: 0.25).
_CONTEXT = int(0.35 * GIB)
_NCCL = int(0.4 * GIB)
#: Graph capture: 0.54 GiB for 67 sizes (vLLM 0.11 log); counted in the budget since 0.21.
_GRAPHS = int(0.5 * GIB)
_GRAPHS_SINCE = (0, 21)
#: Images and audio are profiled too; Gemma 4 31B on an L40S leaves this much more than its text terms say (model-manager#149).
_ENCODER = int(0.5 * GIB)
_CT2_CONTEXT = int(0.5 * GIB)  # CUDA context and the cuBLAS workspace


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes on one GPU; `source` is "computed" until what an engine logged is at hand."""

    context: int
    activation: int
    graphs: int
    adapters: int = 0
    source: str = "computed"

    @property
    def total(self) -> int:
        return self.context + self.activation + self.graphs + self.adapters


def overhead(question: Question) -> Overhead:
    settings = question.settings
    if not settings.paged:
        return Overhead(_CT2_CONTEXT, _logits(question, question.settings.sequences or 16), 0)
    many = settings.tensor_parallel * settings.pipeline_parallel > 1
    counted = not settings.eager and _version(settings.version) >= _GRAPHS_SINCE
    graphs = _GRAPHS if counted else 0
    return Overhead(_CONTEXT + (_NCCL if many else 0), _activation(question), graphs, adapter_bytes(question))


def _activation(question: Question) -> int:
    """The profile run's peak: one step of as many tokens as a batch may have, then sampling for all sequences at once.

    A token: four vectors of the hidden size and three of the feed-forward layer's in 16 bits. Checked on Llama 3.1 8B, V0,
    where a batch is the context: 2.07 GiB logged at 20000 tokens and 2.98 at 29000; computed 2.21 and 3.21.
    """
    facts = question.facts
    hidden = facts.hidden_size or 0
    inner = _inner(question) // question.settings.tensor_parallel
    tokens = question.batched_tokens * (4 * hidden + 3 * inner) * 2
    seen = facts.cache is not None and facts.cache.text_type not in (None, facts.model_type)
    return tokens + _logits(question, question.sequences) + (_ENCODER if seen else 0)


def _inner(question: Question) -> int:
    cache, hidden = question.facts.cache, question.facts.hidden_size or 0
    if cache is None:
        return 4 * hidden
    if cache.experts_per_token:
        return (cache.expert_intermediate_size or cache.intermediate_size or hidden) * cache.experts_per_token
    return cache.intermediate_size or 4 * hidden


def _logits(question: Question, sequences: int) -> int:
    """Scores of the whole vocabulary in 32 bits, and a sorted copy."""
    return sequences * (question.facts.vocab_size or 0) * 4 * 2


def _version(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    return numbers or (99,)  # the newest, when nothing is said
