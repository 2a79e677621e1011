"""Room that vLLM keeps on each GPU for LoRA adapters, whether one is loaded or not. Called by overhead.

For every linear layer two matrices, of rank x inputs and outputs x rank, as many times as adapters may be mixed in one batch
(vllm/lora/layers/base_linear.py, create_lora_weights; logits_processor.py). In 16 bits. Tensor parallelism divides the inputs of
what comes after a split and the outputs of what makes one, not the rest.
"""

from deployer.plan.fit.question import Question, Unknown


def adapter_bytes(question: Question) -> int:
    rank, at_once = question.settings.adapters
    return 2 * rank * at_once * _widths(question) if rank and at_once else 0


def _widths(question: Question) -> int:
    """Inputs and outputs of all linear layers of one GPU, summed."""
    facts, cache = question.facts, question.facts.cache
    layers, hidden, heads = facts.layers, facts.hidden_size, facts.heads
    inner = cache.intermediate_size if cache is not None else None
    if not layers or not hidden or not heads or not inner:
        raise Unknown("config.json does not say how wide the layers are, and so not what LoRA adapters take")
    if cache is not None and (cache.expert_intermediate_size or cache.linear_key_heads or cache.kv_lora_rank):
        raise Unknown("what LoRA adapters take on layers of this kind is not known")
    size = facts.head_dim or hidden // heads
    tp, pp = question.settings.tensor_parallel, question.settings.pipeline_parallel
    queries, keys, inside = heads * size // tp, max(1, (facts.kv_heads or heads) // tp) * size, inner // tp
    split = (hidden + queries) + 2 * (hidden + keys) + 2 * (hidden + inside)
    joined = (queries + hidden) + (inside + hidden)
    return -(-layers // pp) * (split + joined) + hidden + (facts.vocab_size or 0)
