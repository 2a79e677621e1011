"""Bytes of cache on the GPU that holds most of it: of one token, of one full request, and how many requests a pool holds.

Follows vLLM: vllm/v1/kv_cache_interface.py (page sizes, max_memory_usage_bytes of each kind) and
vllm/v1/core/kv_cache_utils.py (_get_kv_cache_groups_uniform_page_size, get_max_concurrency_for_kv_cache_config). Layers
of different kinds share one pool of blocks: groups of equally many layers, pages of equal size, each padded to that.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from deployer.plan.fit.layers import Layer, layers_of
from deployer.plan.fit.question import Question, Unknown

#: --kv-cache-dtype → bytes of one element. Those with scales beside them are in _SCALES.
_BYTES = {
    **dict.fromkeys(("bfloat16", "float16", "half", "bf16", "fp16"), 2),
    **dict.fromkeys(("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_per_token_head", "int8_per_token_head"), 1),
    **dict.fromkeys(("float32", "float"), 4),
}
_FLASHMLA = 656  # a token: 512 elements of 8 bits, 4 scales of 32 bits, 64 elements of 16 bits
_SCALES = ("fp8_per_token_head", "int8_per_token_head")  # 4 bytes for each of K and V, token and head


def element_bytes(question: Question) -> int:
    """Of one cached element. `auto`: the checkpoint's own cache type if it has one, else the type it computes in; a model
    of 32 bits runs in 16 (vllm/config/model.py, _resolve_auto_dtype).
    """
    asked, dtype = question.settings.cache_dtype, question.settings.dtype
    if asked == "auto" and _eight_bits_by_itself(question):
        return 1
    if asked == "auto":
        own = question.facts.cache.cache_dtype if question.facts.cache else None
        asked = own or (dtype if dtype != "auto" else "bfloat16")
    found = _BYTES.get(asked)
    if found is None:
        raise Unknown(f"the size of a cache of type {asked} is not known")
    return found


def _eight_bits_by_itself(question: Question) -> bool:
    """GLM's sparse attention on Blackwell, where nothing is said (vllm/model_executor/models/config.py, GlmMoeDsaForCausalLM)."""
    cache = question.facts.cache
    return cache is not None and cache.text_type == "glm_moe_dsa" and question.gpu.capability.startswith("10.")


@dataclass(frozen=True, slots=True)
class Group:
    """Layers of one kind that share block tables: `groups` times as many as a block holds layers.

    `tokens`: of one block, 0 for a state. `page`: bytes of one block of one layer, before padding.
    """

    layer: Layer
    groups: int
    tokens: int
    page: int


@dataclass(frozen=True, slots=True)
class Pool:
    """How a GPU's cache is cut up. `layers` and `page`: a block is that many layers' pages of that many bytes."""

    groups: tuple[Group, ...]
    layers: int
    page: int
    token: int  # bytes that one more token of a long request costs

    @property
    def block(self) -> int:
        return self.layers * self.page

    def blocks(self, context: int, batched: int, *, states: int) -> int:
        """Of one request of `context` tokens. `states`: copies of a recurrent layer's state."""
        return sum(group.groups * _blocks(group, context, batched, states) for group in self.groups)


def pool(question: Question, every: Sequence[Layer] = ()) -> Pool:
    """Of the fullest pipeline stage. `every`: its layers, where they are at hand. Raises Unknown."""
    every = every or layers_of(question.facts)
    per_stage = -(-len(every) // question.settings.pipeline_parallel)
    # stages hold consecutive layers; the costliest one decides
    if per_stage == len(every):
        return _pool(question, every)
    starts = range(0, len(every), per_stage)
    made = [_pool(question, every[start : start + per_stage]) for start in starts]
    return max(made, key=lambda p: (p.blocks(question.context or 1, question.batched_tokens, states=1) * p.block, p.token))


def _pool(question: Question, layers: Sequence[Layer]) -> Pool:
    counts: Counter[Layer] = Counter()
    for layer, number in _alike(layers):
        counts[layer] += number
    element = element_bytes(question)
    sizes = {layer: _token_bytes(question, layer, element) for layer in counts}
    block = question.settings.block
    if len(counts) > 1 and all(layer.grows for layer in counts):
        return _side_by_side(counts, sizes, block)
    states = {layer: _state_bytes(question, layer) for layer in counts if not layer.width}
    growing = [size for layer, size in sizes.items() if layer.width]
    if states and growing:
        # the attention block grows until its page holds a state (vllm/platforms/interface.py, update_block_size_for_backend)
        block = max(block, -(-max(states.values()) // (min(growing) * 16)) * 16)
    page = max([*(size * block for size in growing), *states.values()])
    held = _group_size(list(counts.values()))
    groups = []
    for layer, number in counts.items():
        tokens = block * (page // (sizes[layer] * block)) if layer.width else 0
        own = sizes[layer] * tokens if layer.width else states[layer]
        groups.append(Group(layer, -(-number // held), tokens, own))
    token = sum(sizes[layer] * number for layer, number in counts.items() if layer.grows)
    return Pool(tuple(groups), held, page, token)


def _side_by_side(counts: Counter[Layer], sizes: dict[Layer, int], block: int) -> Pool:
    """All grow, by steps of unlike size: one group, whose block holds a page of each layer, none of them padded
    (vllm/v1/kv_cache_interface.py, UniformTypeKVCacheSpecs).
    """
    token = sum(sizes[layer] * number for layer, number in counts.items())
    return Pool((Group(next(iter(counts)), 1, block, token * block),), 1, token * block, token)


def _alike(layers: Sequence[Layer]) -> Iterator[tuple[Layer, int]]:
    """Hashing each of a hundred layers costs more than all the rest: layers of a kind are one object."""
    by_id = {id(layer): layer for layer in layers}
    return ((by_id[one], number) for one, number in Counter(map(id, layers)).items())


def _group_size(counts: list[int]) -> int:
    """Layers in a block: the rarest kind's number, or the commonest's when they are close."""
    return max(counts) if max(counts) < 1.5 * min(counts) else min(counts)


def _token_bytes(question: Question, layer: Layer, element: int) -> int:
    if not layer.heads:
        return _latent_bytes(question, layer, element) + layer.beside
    heads = max(1, layer.heads // question.settings.tensor_parallel)
    size = layer.width // layer.heads * heads * element
    return size + (2 * heads * 4 if question.settings.cache_dtype in _SCALES else 0)


def _latent_bytes(question: Question, layer: Layer, element: int) -> int:
    """Beside sparse attention a cache of 8 bits has its scales in it on some GPUs and not on others: 656 bytes by FlashMLA's
    kernel, which Hopper has (vllm/model_executor/layers/attention/mla_attention.py, get_kv_cache_spec).
    """
    if layer.kind != "sparse" or element != 1:
        return layer.width * element
    major = question.gpu.capability.partition(".")[0]
    if major not in ("9", "10"):
        raise Unknown("how large a cache of 8 bits is beside sparse attention is known for Hopper and Blackwell only")
    return _FLASHMLA if major == "9" else layer.width


def _state_bytes(question: Question, layer: Layer) -> int:
    half, whole = layer.state
    size = 4 if question.settings.dtype in ("float32", "float") else 2
    return -(-(half * size + whole * 4) // question.settings.tensor_parallel)


def _blocks(group: Group, context: int, batched: int, states: int) -> int:
    layer = group.layer
    if not group.tokens:
        return states
    if layer.fixed:
        return -(-layer.fixed // group.tokens)
    if layer.chunked:  # ChunkedLocalAttentionSpec: a chunk begins where a block does
        return -(-min(layer.window + batched, context) // group.tokens)
    if layer.window:
        # what a chunk of a long prompt needs; a window may begin inside a block, hence one more
        return -(-min(layer.window - 1 + batched, context) // group.tokens) + 1
    return -(-context // group.tokens)


def request_bytes(question: Question, cut: Pool) -> int:
    """One request of the whole context, on one GPU."""
    assert question.context is not None
    return _request_blocks(question, cut) * cut.block


def requests(question: Question, cut: Pool, room: int) -> Fraction:
    """Full requests at once in `room` bytes: vLLM's "Maximum concurrency"."""
    return Fraction(max(0, room) // cut.block, _request_blocks(question, cut))


def _request_blocks(question: Question, cut: Pool) -> int:
    assert question.context is not None
    # with prefix caching vLLM keeps a second state, where the blocks end (mamba_cache_mode "align")
    states = 2 if question.settings.prefix_caching else 1
    return cut.blocks(question.context, question.batched_tokens, states=states)
