"""Bytes of weights on the fullest GPU, from the bytes of the tensors as they lie in the files. Called by answer.py."""

from deployer.engines import ctranslate2_types
from deployer.plan.fit import blocks
from deployer.plan.fit.question import Question, Unknown
from deployer.state.locked import ModelFacts

#: MXFP4 experts are padded to what its kernels read: gpt-oss-20b is 12.82 GiB of files and 13.72 GiB loaded, as vLLM
#: 0.19 logs on an A100 (myoceane.fr, "vLLM A100 gemma-4"). Measured, not computed.
_MXFP4_PADDING = 1.07

_WIDTH = {"float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2}
_EIGHT_BITS = ("fp8", "fp8_per_tensor", "fp8_per_channel", "fp8_per_block")  # done while it loads
_STORED = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # types of safetensors that vLLM casts to what it computes in

#: What CTranslate2 stores: bytes of an element of a matrix, and of a vector (norms, biases); 8 and 16 bits bring a scale
#: per row in 32 bits (CTranslate2 documentation, "Quantization"; python/ctranslate2/specs/model_spec.py).
_CT2 = {
    "float32": (4, 4),
    "float16": (2, 2),
    "bfloat16": (2, 2),
    "int16": (2, 4),
    "int8": (1, 4),
    "int8_float32": (1, 4),
    "int8_float16": (1, 2),
    "int8_bfloat16": (1, 2),
}


def stored_bytes(facts: ModelFacts) -> int:
    """All tensors as they lie in the files. Raises Unknown."""
    found = sum(size for _, size in facts.tensors) or facts.weights_bytes
    if not found:
        raise Unknown("deployer.lock does not say how large the weights are")
    return found


def vllm_bytes(question: Question) -> int:
    """On one GPU of the fullest pipeline stage.

    Tensor parallelism divides every matrix, embeddings too (vllm/model_executor/layers/linear.py and
    vocab_parallel_embedding.py); norms, which it copies, are less than a thousandth. A stage holds consecutive layers; the
    first has the embeddings, the last the output layer (vllm/distributed/utils.py, get_pp_indices).
    """
    facts, settings = question.facts, question.settings
    total = _loaded(question) + _doubled(facts)
    if facts.quantization == "mxfp4":
        total = int(total * _MXFP4_PADDING)
    stages = settings.pipeline_parallel
    if stages > 1:
        layers = facts.layers or stages
        ends = min(_embeddings(facts), total)
        one = ends if facts.cache is not None and facts.cache.tied else ends // 2
        total = (total - ends) * -(-layers // stages) // layers + one
    plain = facts.quantization is None and settings.quantization is None and not settings.cpu
    rounded = blocks.added(question, _computed(settings.dtype)) if plain else 0
    return -(-total // settings.tensor_parallel) + rounded + tables_bytes(facts)


def _computed(dtype: str) -> int:
    """Bytes of an element that vLLM computes in: `auto` is 16 bits, also for what lies in 32."""
    return 4 if dtype in ("float32", "float") else 2


#: Models that learn their positions: those are in the files.
_LEARNED = (
    "gpt2",
    "gpt_bigcode",
    "opt",
    "whisper",
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "camembert",
    "mpnet",
    "m2m_100",
    "marian",
)
#: Those whose full and windowed layers turn by other angles.
_TWO_TABLES = ("gemma3_text", "gemma4_text", "gemma4_unified_text")


def tables_bytes(facts: ModelFacts) -> int:
    """Sines and cosines of every position that the model has, in 16 bits, whole on each GPU; vLLM counts them as weights
    (vllm/model_executor/layers/rotary_embedding/base.py). 32 MiB for Llama 3.1 8B: all that its log says more than its files.
    """
    cache = facts.cache
    kind = (cache.text_type if cache is not None else None) or facts.model_type or ""
    width = facts.head_dim or (facts.hidden_size or 0) // (facts.heads or 1)
    if kind in _LEARNED or cache is None:
        return 0
    if cache.rope_head_dim:
        width = cache.rope_head_dim
    if kind in _TWO_TABLES:
        width += cache.global_head_dim or width
    return (facts.context or 0) * width * 2


def _doubled(facts: ModelFacts) -> int:
    """K's weights of full layers stand in the place of V's too (vllm/model_executor/models/gemma4.py, k_eq_v_layers)."""
    cache = facts.cache
    if cache is None or not cache.keys_are_values:
        return 0
    layers = sum(kind == "full_attention" for kind in cache.layer_types)
    outputs = (cache.global_kv_heads or facts.kv_heads or 0) * (cache.global_head_dim or facts.head_dim or 0)
    width = 1 if facts.quantization in ("fp8", "compressed-tensors") else 2
    return layers * outputs * (facts.hidden_size or 0) * width


def _loaded(question: Question) -> int:
    """After vLLM has cast or quantized what it reads."""
    facts, settings = question.facts, question.settings
    total = stored_bytes(facts)
    if facts.quantization:
        return total
    total = _cast(facts, _computed(settings.dtype))
    if settings.quantization is None:
        return total
    if settings.quantization not in _EIGHT_BITS:
        raise Unknown(f"the size of weights that are quantized to {settings.quantization} while they load is not known")
    # --quantization fp8 on a 16-bit model: the linear layers become 8 bits, embeddings and output layer stay
    # (vllm/model_executor/layers/quantization/fp8.py)
    stays = min(_embeddings(facts), total)
    return stays + -(-(total - stays) // 2)


def _cast(facts: ModelFacts, width: int) -> int:
    if facts.tensors:
        return sum(size * width // _STORED[name] if name in _STORED else size for name, size in facts.tensors)
    return stored_bytes(facts) * width // _WIDTH.get(facts.dtype or "", 2)


def _embeddings(facts: ModelFacts) -> int:
    """Input embeddings and output layer together, in 16 bits."""
    if not facts.vocab_size or not facts.hidden_size:
        raise Unknown("config.json does not say how large the embeddings are")
    tied = facts.cache is not None and facts.cache.tied is True
    return facts.vocab_size * facts.hidden_size * 2 * (1 if tied else 2)


def computed_width(question: Question) -> int:
    """Bytes of an element that Transformers computes in: `auto` is what the files say, 32 bits where they say nothing."""
    asked = question.settings.dtype
    return _WIDTH.get((question.facts.dtype or "float32") if asked == "auto" else asked, 2)


def cast_bytes(question: Question) -> int:
    """As Transformers loads them: cast, or linear layers in 8 or 4 bits by bitsandbytes, embeddings and output layer not (its
    documentation, "Memory efficiency"; nf4 has a scale of 32 bits for every 64 elements).
    """
    facts, quantization = question.facts, question.settings.quantization
    if facts.quantization:
        return stored_bytes(facts)
    total = _cast(facts, computed_width(question))
    if quantization is None:
        return total
    width = computed_width(question)
    stays = min(_embeddings(facts) * width // 2, total)
    bits = {"bnb-8bit": 8.0, "bnb-4bit": 4.5}.get(quantization)
    if bits is None:
        raise Unknown(f"the size of weights that are quantized to {quantization} while they load is not known")
    return stays + round((total - stays) / width * bits / 8)


#: A CPU of which nothing more is known: only int16 hangs on who made it.
_ANY_CPU = ctranslate2_types.cpu("x86_64", None, {})


def kept_type(question: Question) -> str | None:
    """What CTranslate2 keeps weights as, on this device: of a type that it has no fast way for, loaded weights become another."""
    asked, gpu = question.settings.quantization, question.gpu
    saved = ctranslate2_types.saved_type(asked, question.facts) or asked
    if question.settings.cpu:
        device = _ANY_CPU
    elif gpu.capability:
        device = ctranslate2_types.gpu(gpu.capability, {})
    else:
        return saved
    return ctranslate2_types.resolve("default", saved, device).compute_type or saved


def ctranslate2_bytes(question: Question) -> int:
    """model.bin as it is kept on the device. Embeddings are stored like other matrices; when the output layer is tied to
    them it is an alias of the same variable (specs/model_spec.py, _alias_variables), so there is one copy.
    """
    facts, kept = question.facts, kept_type(question)
    if kept is None or kept not in _CT2:
        raise Unknown(f"CTranslate2 stores no weights as {kept or facts.dtype or 'an unknown type'}")
    if not facts.hidden_size:
        raise Unknown("config.json does not say hidden_size")
    elements = _elements(facts)
    matrix, vector = _CT2[kept]
    # vectors: two norms and a few biases a layer; scales: one for each row of a matrix, and rows are hidden_size wide
    vectors = min(elements, (facts.layers or 0) * 8 * facts.hidden_size)
    scales = 0 if matrix == vector else elements // facts.hidden_size * 4
    return (elements - vectors) * matrix + vectors * vector + scales


def _elements(facts: ModelFacts) -> int:
    if facts.quantization:
        raise Unknown(f"CTranslate2 converts no weights that are quantized with {facts.quantization}")
    if facts.tensors and all(name in _STORED for name, _ in facts.tensors):
        return sum(size // _STORED[name] for name, size in facts.tensors)
    width = _WIDTH.get(facts.dtype or "")
    if width is None:
        raise Unknown("config.json does not say which type the weights have")
    return stored_bytes(facts) // width
