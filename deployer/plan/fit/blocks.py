"""What a GPU's allocator adds to weights, because it hands out memory in blocks. Called by weights. Pure.

PyTorch (c10/cuda/CUDACachingAllocator.cpp): from 10 MiB on a tensor has a block of its own, rounded up to 2 MiB
(kMinLargeAlloc, kRoundLarge), and what is left of the block is given to others only where it is more than 1 MiB (kSmallSize,
should_split). It counts whole blocks as allocated, and vLLM's "model weights take …" is that count.
"""

from collections.abc import Iterator

from deployer.plan.fit.question import Question
from deployer.plan.fit.widths import widths

_MIB = 1 << 20
_OWN, _ROUND, _KEPT = 10 * _MIB, 2 * _MIB, _MIB
#: vLLM pads the vocabulary to it (vocab_parallel_embedding.py, DEFAULT_VOCAB_PADDING_SIZE).
_VOCABULARY = 64


def added(question: Question, width: int) -> int:
    """Bytes on one GPU of the first pipeline stage; 0 where the layers' shapes are not known. `width`: bytes of an element."""
    return sum(count * _left(size * width) for size, count in _tensors(question))


def _left(size: int) -> int:
    """What nobody else gets of a tensor's block."""
    left = -size % _ROUND
    return left if size >= _OWN and left <= _KEPT else 0


def _tensors(question: Question) -> Iterator[tuple[int, int]]:
    """(elements, how many of them) as vLLM lays out dense layers: Q, K and V in one, gate and up in one."""
    facts, cache, wide = question.facts, question.facts.cache, widths(question)
    if wide is None or cache is None:
        return
    if cache.experts_per_token or cache.kv_lora_rank or cache.linear_key_heads or cache.global_head_dim:
        return
    for outputs in (wide.queries + 2 * wide.keys, wide.queries, 2 * wide.inner, wide.inner):
        yield outputs * wide.hidden, wide.layers
    if facts.vocab_size:
        rows = -(-facts.vocab_size // _VOCABULARY) * _VOCABULARY // question.settings.tensor_parallel
        ends = 1 if cache.tied or question.settings.pipeline_parallel > 1 else 2
        yield rows * wide.hidden, ends
