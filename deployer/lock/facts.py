"""What a config.json says about a model. Pure; shared by hub.py and folder.py, so that both read it the same way."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from deployer.errors import LockfileError
from deployer.lock.cachefacts import cache_facts
from deployer.state.locked import AdapterFacts, LockedFile, ModelFacts

_INNER = ("text_config", "llm_config", "language_config")
_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
    "max_target_positions",
)
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack")
#: Kinds of RoPE scaling whose max_position_embeddings already counts the factor.
_SCALED_ALREADY = frozenset({"default", "su", "longrope", "llama3", "mrope", "proportional"})

Config = Mapping[str, Any]


def parse_config(text: str | bytes, where: str) -> dict[str, Any]:
    """A config.json (or adapter_config.json) as a mapping. Raises LockfileError naming `where` when it is none."""
    file = where.rpartition("/")[2]
    hint = f"the file must be the model's {file} as its library writes it"
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockfileError(f"{file} is not JSON: {error}", where=where, hint=hint) from None
    if not isinstance(config, dict):
        raise LockfileError(f"{file} holds a {type(config).__name__}, not an object", where=where, hint=hint)
    return config


def has_template(tokenizer_config: str | bytes) -> bool:
    """Does a tokenizer_config.json carry a chat template? False for what cannot be read."""
    try:
        config = json.loads(tokenizer_config)
    except (ValueError, RecursionError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def weights_bytes(files: Iterable[LockedFile]) -> int | None:
    """The size of the weight files together; None when there are none."""
    return sum(f.size for f in files if f.path.endswith(_WEIGHTS)) or None


def facts_from_config(
    config: Config,
    *,
    license: str | None = None,
    gated: bool = False,
    chat_template: bool = False,
    weights_bytes: int | None = None,
    tensors: Mapping[str, int] | None = None,
    adapter: AdapterFacts | None = None,
) -> ModelFacts:
    """The numbers of the language model, also when they stand in an inner `text_config`. What is absent or of the
    wrong type is None.
    """
    text = _text_config(config)
    return ModelFacts(
        architectures=_names(config.get("architectures")) or _names(text.get("architectures")),
        model_type=_string(config, "model_type") or _string(text, "model_type"),
        dtype=_string(text, "dtype", "torch_dtype") or _string(config, "dtype", "torch_dtype"),
        context=_context(text) or _context(config),
        vocab_size=_number(text, "vocab_size") or _number(config, "vocab_size"),
        hidden_size=_number(text, "hidden_size", "n_embd", "d_model", "dim"),
        layers=_layers(text),
        heads=_number(text, "num_attention_heads", "n_head", "num_heads", "n_heads", "decoder_attention_heads"),
        kv_heads=_kv_heads(text),
        head_dim=_number(text, "head_dim", "d_kv", "kv_channels"),
        quantization=_quantization(config) or _quantization(text),
        license=license,
        gated=gated,
        chat_template=chat_template,
        weights_bytes=weights_bytes,
        tensors=tuple(sorted((tensors or {}).items())),
        cache=cache_facts(config, text) if config else None,
        adapter=adapter,
    )


def _text_config(config: Config) -> Config:
    thinker = config.get("thinker_config")
    outer = thinker if isinstance(thinker, dict) else config
    for name in _INNER:
        inner = outer.get(name)
        if isinstance(inner, dict):
            return inner
    return outer


def _number(config: Config, *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _string(config: Config, *names: str) -> str | None:
    return next((value for name in names if isinstance(value := config.get(name), str) and value), None)


def _layers(config: Config) -> int | None:
    """Of the decoder, which is what keeps a cache: num_hidden_layers counts the encoder's where there are both."""
    both = ("decoder_layers",) if config.get("is_encoder_decoder") is True else ()
    return _number(config, *both, "num_hidden_layers", "n_layer", "num_layers", "n_layers")


def _names(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _kv_heads(config: Config) -> int | None:
    if config.get("multi_query") is True and not config.get("new_decoder_architecture"):
        return 1
    return _number(config, "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")


def _context(config: Config) -> int | None:
    """Longest input in tokens, RoPE scaling included as the engines count it."""
    length = _number(config, *_CONTEXT)
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if length is None or not isinstance(scaling, dict) or "gemma3" in str(config.get("model_type")):
        return length
    kind = _string(scaling, "rope_type", "type")
    factor = scaling.get("factor")
    if kind is None or kind in _SCALED_ALREADY or isinstance(factor, bool) or not isinstance(factor, int | float):
        return length
    if kind == "yarn":
        length = _number(scaling, "original_max_position_embeddings") or length
    return int(length * factor) if 1 <= factor < 10_000 else length


def _quantization(config: Config) -> str | None:
    for name in ("quantization_config", "compression_config"):
        inner = config.get(name)
        if isinstance(inner, dict):
            return _string(inner, "quant_method") or _string(inner, "quantization_method")
    return None
