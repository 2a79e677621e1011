"""Weights and caches of engines without a pool of pages: each request brings its cache, or every slot has its own from the start.
Called by answer.py.

CTranslate2 (CONVERTED): src/layers/attention.cc. Transformers (CAST): cache_utils.py, DynamicCache. llama.cpp (SLOTS):
src/llama-kv-cache.cpp and src/llama-kv-cache-iswa.cpp of build 11434, whose figures for models/tiny-chat the tests hold.
"""

from deployer.engines.memory import CAST, CONVERTED
from deployer.plan.fit import weights
from deployer.plan.fit.layers import Layer, layers_of
from deployer.plan.fit.question import Question, Unknown

#: Cells of a llama.cpp context come in this many; a step takes that many tokens (n_ubatch).
_CELLS = 256
UBATCH = 512
#: Beams of a request that says nothing of them (deployer/serve/whisper.py, translate.py).
_BEAMS = {"whisper": 5, "m2m_100": 2, "marian": 2}
#: Bytes of one element, by ggml's types: blocks of 32 with a scale each (ggml/src/ggml-common.h).
_GGML = {
    **{"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32},
    **{"q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32},
}


def weights_bytes(question: Question) -> int:
    """On one GPU; where there are several, each holds as many layers as the others, or one more."""
    kind = question.settings.scheme
    if kind == CONVERTED:
        return weights.ctranslate2_bytes(question)
    held = weights.cast_bytes(question) if kind == CAST else weights.stored_bytes(question.facts)
    return _share(question, held)


def token_bytes(question: Question) -> int:
    """One more token of a request costs that, on one GPU."""
    growing = [layer for layer in _layers(question) if layer.grows]
    return _share(question, round(sum(layer.width for layer in growing) * _element(question)))


def cache_bytes(question: Question) -> int:
    """CONVERTED and CAST: of one request. SLOTS: of all of them, since they are made at the start."""
    if question.settings.scheme == CONVERTED:
        return _converted(question)
    every, context = _layers(question), question.context or 0
    if question.settings.scheme == CAST:
        held = sum(layer.width * _tokens(layer, context) for layer in every)
        return _share(question, round(held * _element(question)))
    slots = question.settings.sequences or 1
    streams, cells = (1, _padded(context)) if question.settings.shared else (slots, _padded(context))
    held = sum(layer.width * _windowed(question, layer, cells) for layer in every) * streams
    return _share(question, round(held * _element(question)))


def _converted(question: Question) -> int:
    """One layer twice, since a step's K and V are appended by copying. Behind an encoder a request has that for each beam, and
    once what its decoder looks at (CTranslate2, src/layers/transformer.cc, TransformerDecoder::replicate_state).
    """
    facts = question.facts
    layers = facts.layers or 1
    beams = _BEAMS.get(facts.model_type or "", 1)
    crossed = sum(layer.width * layer.fixed for layer in _layers(question) if layer.fixed)
    grown = (question.context or 0) * token_bytes(question) * (layers + 1) // layers
    return beams * grown + round(crossed * _element(question))


def _layers(question: Question) -> tuple[Layer, ...]:
    every = layers_of(question.facts)
    if any(layer.kind == "sparse" for layer in every):
        raise Unknown("what this engine keeps beside sparse attention is not known")
    return every


def _share(question: Question, whole: int) -> int:
    stages, layers = question.settings.pipeline_parallel, question.facts.layers or 1
    return whole if stages == 1 else whole * -(-layers // stages) // layers


def _tokens(layer: Layer, context: int) -> int:
    if layer.fixed:
        return layer.fixed
    return min(layer.window, context) if layer.window else context


def _windowed(question: Question, layer: Layer, cells: int) -> int:
    """Of one stream. A window keeps what a step may still look at, and the step itself."""
    if not layer.window:
        return cells
    several = (question.settings.sequences or 1) if question.settings.shared else 1
    return min(cells, _padded(layer.window * several + UBATCH))


def _padded(tokens: int) -> int:
    return -(-tokens // _CELLS) * _CELLS


def _element(question: Question) -> float:
    """Bytes of one cached element. CTranslate2 has no cache of 8 bits: it is of the type in which the rest is computed."""
    settings = question.settings
    if settings.scheme == CONVERTED:
        kept = weights.kept_type(question) or ""
        computed = kept.rpartition("_")[2] if "float" in kept else question.facts.dtype or ""
        return 4 if computed == "float32" or settings.cpu else 2
    if settings.scheme == CAST:
        return weights.computed_width(question)
    found = [_GGML.get(name) for name in settings.cache_types]
    if any(size is None for size in found):
        raise Unknown(f"the size of a cache of type {' and '.join(settings.cache_types)} is not known")
    return sum(size for size in found if size is not None) / 2
