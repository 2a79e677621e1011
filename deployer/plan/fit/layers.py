"""Which layers a model has and what each keeps for a request. Fails closed: an architecture that is not in the table is
Unknown. Called by cache.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from deployer.plan.fit.question import Unknown
from deployer.state.locked import CacheFacts, ModelFacts


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of layer. `width`: elements for one token (K and V, all heads; MLA: one latent), of `heads` heads, 0 when
    tensor parallelism does not divide them. `beside`: bytes for one token in a type of their own. `window` in tokens, 0 for the
    whole context; `chunked`: it does not move along with each token. `fixed`: tokens that do not grow with the context (cross
    attention). `state`: (elements of the model's type, elements of 32 bits) of a recurrent layer.
    """

    kind: str
    heads: int = 0
    width: int = 0
    beside: int = 0
    window: int = 0
    chunked: bool = False
    fixed: int = 0
    state: tuple[int, int] = (0, 0)

    @property
    def grows(self) -> bool:
        """With each token of a request, to its end."""
        return bool(self.width) and not self.window and not self.fixed


#: model_type of the language model → how its layers are declared. "full": all alike; "listed": layer_types, or all full
#: when there are none; "gemma2"/"gemma3": a pattern when there is no list; "mla"; "interval": linear but for every n-th; "read":
#: by words that lock.layerkinds writes; "crossed"/"translated": a decoder that looks at an encoder's output, of a length of its
#: own or as long as the prompt. Each was checked against vLLM's model file of that name; those that vLLM 0.32.0 hands to
#: Transformers (registry.py, _TRANSFORMERS_BACKEND_MODELS: smollm3, seed_oss, mellum) against models/transformers/base.py, which
#: makes a windowed layer of each "sliding_attention" in layer_types and a full one of every other.
ARCHITECTURES = {
    **dict.fromkeys(
        ("llama", "mistral", "mixtral", "ministral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen2_vl", "qwen2_5_vl"), "full"
    ),
    **dict.fromkeys(("qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text", "qwen3_vl_moe_text"), "full"),
    **dict.fromkeys(("phi3", "granite", "granitemoe", "glm4", "glm4_moe", "olmo", "olmo2", "gpt_neox", "starcoder2"), "full"),
    **dict.fromkeys(("minimax_m2", "ministral3"), "full"),
    **dict.fromkeys(("gpt_bigcode", "gpt2", "opt", "gptj", "codegen", "gemma"), "full"),
    **dict.fromkeys(("gpt_oss", "olmo3", "cohere2", "gemma4_text", "gemma4_unified_text"), "listed"),
    **dict.fromkeys(("smollm3", "seed_oss", "mellum"), "listed"),
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    **dict.fromkeys(("deepseek_v2", "deepseek_v3", "kimi_k2"), "mla"),
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), "interval"),
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa", "llama4_text", "nemotron_h"), "read"),
    "whisper": "crossed",
    **dict.fromkeys(("m2m_100", "marian"), "translated"),
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "distilbert", "camembert", "modernbert", "nomic_bert", "mpnet"), "none"),
}

#: general.architecture of a GGUF file where it is another word (src/llama-arch.cpp). gpt-oss: each second layer is full.
GGUF = {
    **{"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "qwen2vl": "qwen2_vl", "gemma3": "gemma3_text", "gpt-oss": "gemma2"},
    **{"olmo2": "olmo2", "mistral3": "mistral", "qwen3vl": "qwen3_vl_text", "qwen3vlmoe": "qwen3_vl_moe_text"},
    **{"llama4": "", "gptneox": "gpt_neox", "bert": "bert", "nomic-bert": "nomic_bert"},
}


MOST_LAYERS = 2048  # what claims more is no model
BIGGEST = 1 << 50  # bytes of weights included


def layers_of(facts: ModelFacts) -> tuple[Layer, ...]:
    """One Layer for each layer that keeps something, in order. Raises Unknown."""
    cache = facts.cache
    if cache is None and not facts.layers:
        raise Unknown("nothing is known of the model's layers: no config.json, and no GGUF file at hand whose header was read")
    if cache is None:
        raise Unknown("deployer.lock was written before layers were read: deployer lock --upgrade reads them")
    how = _declared(facts)
    if how is None:
        raise Unknown(f"unknown architecture {_name(facts)}")
    count = facts.layers
    if not count:
        raise Unknown("config.json does not say how many layers there are")
    sane(facts)
    if how == "none":
        return ()
    if how == "mla":
        return (_latent(cache),) * count
    kinds = _kinds(how, cache, count)
    shared = cache.shared_layers or 0
    if shared >= count:
        raise Unknown(f"config.json says that {shared} of {count} layers share a cache")
    made = {kind: _layer(kind, facts, cache) for kind in set(kinds)}
    own = tuple(layer for kind in kinds[: count - shared] if (layer := made[kind]) is not None)
    if how in ("crossed", "translated"):
        return own + (_crossed(facts, cache.encoder_positions if how == "crossed" else facts.context),) * count
    return own


def whole_prompts(facts: ModelFacts) -> bool:
    """An encoder reads a prompt in one step, however long (vllm/config/model.py, is_chunked_prefill_supported)."""
    return _declared(facts) in ("none", "crossed")


def _declared(facts: ModelFacts) -> str | None:
    name = _name(facts)
    return ARCHITECTURES.get(GGUF.get(name, name))


def _name(facts: ModelFacts) -> str:
    told = facts.cache.text_type if facts.cache is not None else None
    return told or facts.model_type or next(iter(facts.architectures), "without a name")


def sane(facts: ModelFacts) -> None:
    """Raises Unknown for numbers that no model has, which a config.json may claim all the same."""
    if (facts.layers or 0) > MOST_LAYERS or not all(0 <= number < BIGGEST for number in _numbers(facts)):
        raise Unknown("config.json gives numbers that no model has")


def _numbers(facts: ModelFacts) -> Iterator[int]:
    for read, values in ((_OF_FACTS, facts), (_OF_CACHE, facts.cache or _NOTHING)):
        yield from (value for value in read(values) if value is not None)
    yield from (size for _, size in facts.tensors)


_NOTHING = CacheFacts()
_OF_FACTS, _OF_CACHE = (attrgetter(*(f.name for f in fields(one) if f.type == int | None)) for one in (ModelFacts, CacheFacts))


def _kinds(how: str, cache: CacheFacts, count: int) -> tuple[str, ...]:
    if cache.layer_types:
        if len(cache.layer_types) != count:
            raise Unknown(f"config.json lists {len(cache.layer_types)} layer_types for {count} layers")
        return cache.layer_types
    if how == "read":
        raise Unknown("deployer.lock was written before such layers were read: deployer lock --upgrade reads them")
    if how == "interval":
        every = cache.full_interval
        if not every:
            raise Unknown("config.json has neither layer_types nor full_attention_interval")
        return tuple("full_attention" if (n + 1) % every == 0 else "linear_attention" for n in range(count))
    if how in ("gemma2", "gemma3"):
        # Gemma 2: each second layer is full (Gemma 2 report, table 1); Gemma 3: each sixth (Gemma 3 report, 2)
        every = cache.window_pattern or (2 if how == "gemma2" else 6)
        return tuple("full_attention" if (n + 1) % every == 0 else "sliding_attention" for n in range(count))
    if how == "listed" and cache.window:
        raise Unknown("config.json sets a sliding_window without layer_types")
    windowed = how == "full" and cache.window and cache.use_window is not False
    # Mistral 7B v0.1 and its kin: every layer has the window
    return ("sliding_attention" if windowed else "full_attention",) * count


def _layer(kind: str, facts: ModelFacts, cache: CacheFacts) -> Layer | None:
    """None: it keeps nothing."""
    if kind in ("mlp", "moe"):
        return None
    if kind in ("linear_attention", "mamba"):
        return _linear(cache)
    if kind in ("sparse_attention", "sparse_attention_shared"):
        return _sparse(cache, own=kind == "sparse_attention")
    if kind not in ("full_attention", "attention", "sliding_attention", "chunked_attention"):
        raise Unknown(f"unknown kind of layer {kind}")
    heads, width = _heads(facts)
    if kind == "sliding_attention":
        if not cache.window:
            raise Unknown("config.json has sliding layers without a sliding_window")
        return Layer("sliding", heads, 2 * heads * width, window=cache.window)
    if kind == "chunked_attention":
        if not cache.chunk:
            raise Unknown("config.json has chunked layers without an attention_chunk_size")
        return Layer("chunked", heads, 2 * heads * width, window=cache.chunk, chunked=True)
    heads, width = cache.global_kv_heads or heads, cache.global_head_dim or width
    return Layer("full", heads, 2 * heads * width)


def _heads(facts: ModelFacts) -> tuple[int, int]:
    """(KV heads, elements of one). A model that says no number of KV heads has as many as heads; together they are then as wide
    as the hidden size, which is all that is asked of a translator.
    """
    if facts.cache is not None and facts.cache.encoder_decoder and not facts.heads and facts.hidden_size:
        return 1, facts.hidden_size
    heads = facts.kv_heads or facts.heads
    width = facts.head_dim or (facts.hidden_size // facts.heads if facts.hidden_size and facts.heads else None)
    if not heads or not width:
        raise Unknown("config.json does not say the heads' number and size")
    return heads, width


def _latent(cache: CacheFacts) -> Layer:
    """Multi-head latent attention: one vector for all heads, whole on every GPU (DeepSeek-V2 report, 2.1;
    vllm/v1/kv_cache_interface.py, MLAAttentionSpec).
    """
    if not cache.kv_lora_rank or not cache.rope_head_dim:
        raise Unknown("config.json does not say kv_lora_rank and qk_rope_head_dim")
    return Layer("latent", 0, cache.kv_lora_rank + cache.rope_head_dim)


def _sparse(cache: CacheFacts, *, own: bool) -> Layer:
    """DeepSeek's sparse attention: a latent, and where a layer chooses tokens itself a key for that, 8 bits each with a scale of
    32 bits for 128 of them (vllm/models/deepseek_v32/attention.py, DeepseekV32Indexer: quant_block_size, k_cache).
    """
    latent = _latent(cache)
    if not own:
        return replace(latent, kind="sparse")
    if not cache.index_dim:
        raise Unknown("config.json does not say index_head_dim")
    return replace(latent, kind="sparse", beside=cache.index_dim + cache.index_dim // 128 * 4)


def _linear(cache: CacheFacts) -> Layer:
    """Gated DeltaNet: a short convolution and one matrix per value head, the latter in 32 bits
    (vllm/model_executor/layers/mamba/mamba_utils.py, gated_delta_net_state_shape). Mamba 2 likewise: mamba2_state_shape there.
    """
    keys, values = cache.linear_key_heads, cache.linear_value_heads
    if not (keys and values and cache.linear_key_dim and cache.linear_value_dim and cache.linear_conv):
        raise Unknown("config.json does not say the linear layers' heads")
    channels = 2 * keys * cache.linear_key_dim + values * cache.linear_value_dim
    return Layer("linear", state=(channels * (cache.linear_conv - 1), values * cache.linear_value_dim * cache.linear_key_dim))


def _crossed(facts: ModelFacts, positions: int | None) -> Layer:
    heads, width = _heads(facts)
    if not positions:
        raise Unknown("config.json does not say how long the encoder's output is")
    return Layer("crossed", heads, 2 * heads * width, fixed=positions)
