"""How wide a dense layer is on one GPU, as config.json says it. Called by blocks and lora. Pure."""

from dataclasses import dataclass

from deployer.plan.fit.question import Question


@dataclass(frozen=True, slots=True)
class Widths:
    """In elements. Of `hidden` each GPU has all; `queries`, `keys` (as wide as values) and `inner` are its part by tensor
    parallelism, of keys at least one head (vllm/model_executor/layers/linear.py). `layers`: of the longest pipeline stage.
    """

    hidden: int
    queries: int
    keys: int
    inner: int
    layers: int


def widths(question: Question) -> Widths | None:
    """None: config.json does not say."""
    facts, cache = question.facts, question.facts.cache
    layers, hidden, heads = facts.layers, facts.hidden_size, facts.heads
    inner = cache.intermediate_size if cache is not None else None
    if not layers or not hidden or not heads or not inner:
        return None
    size = facts.head_dim or hidden // heads
    tp, pp = question.settings.tensor_parallel, question.settings.pipeline_parallel
    keys = max(1, (facts.kv_heads or heads) // tp) * size
    return Widths(hidden, heads * size // tp, keys, inner // tp, -(-layers // pp))
