"""Room that vLLM keeps on each GPU for LoRA adapters, whether one is loaded or not. Called by overhead.

For every linear layer two matrices, of rank x inputs and outputs x rank, as many times as adapters may be mixed in one batch
(vllm/lora/layers/base_linear.py, create_lora_weights; logits_processor.py). In 16 bits. Tensor parallelism divides the inputs of
what comes after a split and the outputs of what makes one, not the rest.
"""

from deployer.plan.fit.question import Question, Unknown
from deployer.plan.fit.widths import widths


def adapter_bytes(question: Question) -> int:
    rank, at_once = question.settings.adapters
    return 2 * rank * at_once * _widths(question) if rank and at_once else 0


def _widths(question: Question) -> int:
    """Inputs and outputs of all linear layers of one GPU, summed."""
    facts, cache, wide = question.facts, question.facts.cache, widths(question)
    if wide is None:
        raise Unknown("config.json does not say how wide the layers are, and so not what LoRA adapters take")
    if cache is not None and (cache.expert_intermediate_size or cache.linear_key_heads or cache.kv_lora_rank):
        raise Unknown("what LoRA adapters take on layers of this kind is not known")
    split = (wide.hidden + wide.queries) + 2 * (wide.hidden + wide.keys) + 2 * (wide.hidden + wide.inner)
    joined = (wide.queries + wide.hidden) + (wide.inner + wide.hidden)
    return wide.layers * (split + joined) + wide.hidden + (facts.vocab_size or 0)
