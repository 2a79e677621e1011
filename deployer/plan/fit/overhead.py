"""What an engine holds on a GPU besides weights and cache. Called by answer.py.

vLLM profiles it after loading, so nobody knows it before; these are the terms it is made of
(vllm/v1/worker/gpu_worker.py, determine_available_memory), with constants taken from logs that people published. MARGIN is
how far such logs were from the sum.
"""

from dataclasses import dataclass

from deployer.engines.memory import CAST, CONVERTED, PAGED, SLOTS
from deployer.plan.fit.grown import UBATCH
from deployer.plan.fit.layers import whole_prompts
from deployer.plan.fit.lora import adapter_bytes
from deployer.plan.fit.question import GIB, Question
from deployer.plan.fit.weights import computed_width

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
#: On a CPU: the programs themselves. vLLM is three processes with torch (0.32 with models/tiny-chat: 2.82 GiB, 1 of them cache);
#: our server took 0.2 GB with 0.09 of weights (docs/ctranslate2.md).
_CPU = {PAGED: int(1.8 * GIB), CONVERTED: int(0.15 * GIB), CAST: int(0.7 * GIB), SLOTS: int(0.05 * GIB)}


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
        return _grown(question)
    many = settings.tensor_parallel * settings.pipeline_parallel > 1
    counted = not settings.eager and _version(settings.version) >= _GRAPHS_SINCE
    graphs = _GRAPHS if counted else 0
    context = _CPU[settings.scheme] if settings.cpu else _CONTEXT + (_NCCL if many else 0)
    return Overhead(context, _activation(question), graphs, adapter_bytes(question))


def _grown(question: Question) -> Overhead:
    settings, facts = question.settings, question.facts
    context = _CPU[settings.scheme] if settings.cpu else _CT2_CONTEXT
    if settings.scheme == CONVERTED:
        return Overhead(context, _logits(question, settings.sequences or 16), 0)
    hidden, inner = facts.hidden_size or 0, _inner(question)
    if settings.scheme == CAST:
        # a prompt goes through in one step; only its last scores are made
        scores = 0 if settings.flash else (facts.heads or 0) * (question.context or 0) ** 2 * 4
        width = computed_width(question)
        return Overhead(context, (question.context or 0) * (4 * hidden + 3 * inner) * width + scores, 0)
    # llama.cpp: a step of 512 tokens in 32 bits, scores of the vocabulary for all of them (tiny-chat: 5.27 MiB, here 5.5)
    seen = 0 if settings.flash else (facts.heads or 0) * (question.context or 0)
    step = 4 * hidden + 2 * inner + (facts.vocab_size or 0) + seen
    return Overhead(context, UBATCH * step * 4, 0)


def _activation(question: Question) -> int:
    """The profile run's peak: one step of as many tokens as a batch may have, then sampling for all sequences at once.

    A token: four vectors of the hidden size and three of the feed-forward layer's in 16 bits. Checked on Llama 3.1 8B, V0,
    where a batch is the context: 2.07 GiB logged at 20000 tokens and 2.98 at 29000; computed 2.21 and 3.21.
    """
    facts = question.facts
    hidden = facts.hidden_size or 0
    inner = _inner(question) // question.settings.tensor_parallel
    batch = question.batched_tokens
    if question.settings.batched_tokens is None and whole_prompts(facts):
        batch = max(batch, question.context or 0)
    tokens = batch * (4 * hidden + 3 * inner) * 2
    seen = facts.cache is not None and facts.cache.text_type not in (None, facts.model_type)
    # a model that pools has no scores of words to make (vllm/v1/worker/gpu_model_runner.py, _dummy_pooler_run)
    scores = 0 if question.settings.pooling else _logits(question, question.sequences)
    return tokens + scores + (_ENCODER if seen else 0)


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
