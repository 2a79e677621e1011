"""What differs between the kinds of models that our server serves: routes, the question at the start, the files beside the
weights. Called by engines.ctranslate2.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deployer.engines.base import Complaint
from deployer.engines.ctranslate2_families import Family, Kind, family_of, needs_languages, positions
from deployer.engines.ctranslate2_settings import CTranslate2Settings
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel

#: What clients may ask for. A test holds it against deployer/serve, which this layer may not import.
ROUTES: Mapping[Kind, tuple[str, ...]] = {
    "generator": ("/v1/chat/completions", "/v1/completions"),
    "encoder": ("/v1/embeddings",),
    "translator": ("/v1/translate", "/v1/chat/completions"),
    "whisper": ("/v1/audio/transcriptions", "/v1/audio/translations"),
}
#: Of one request; OpenAI takes 25 MB. 13 minutes of 16 kHz and 16 bits.
_SPEECH_BYTES = 26 * 1024 * 1024
#: Copied beside the weights by the converter where they are there.
_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
)
_COPIED_TOO: Mapping[Kind, tuple[str, ...]] = {
    "encoder": ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
    "translator": ("source.spm", "target.spm", "spiece.model", "sentencepiece.bpe.model", "vocab.json"),
    "whisper": ("preprocessor_config.json", "normalizer.json"),
}
_ONLY: Mapping[str, Kind] = {
    "pooling": "encoder",
    "normalize": "encoder",
    "source_language": "translator",
    "target_language": "translator",
}


def kind_of(s: CTranslate2Settings, model: LockedModel | None) -> Kind:
    """What the deployment says, else what the architecture tells; a model of which nothing is known generates text."""
    if s.kind != "auto":
        return s.kind
    family = family_of(model.facts.architectures) if model else None
    return family.kind or "generator" if family else "generator"


def converted(model: LockedModel) -> bool:
    return any(f.path == "model.bin" for f in model.files)


def flat_files(kind: Kind, model: LockedModel) -> list[str]:
    """What the converter's --copy_files takes: it puts everything into one folder."""
    names = {f.path for f in model.files}
    return [name for name in (*_COPIED, *_COPIED_TOO.get(kind, ())) if name in names]


def nested_files(kind: Kind, model: LockedModel) -> list[str]:
    """Settings in folders of their own, which keep their places: sentence-transformers' modules."""
    if kind != "encoder":
        return []
    return sorted(f.path for f in model.files if f.path.count("/") == 1 and f.path.endswith("/config.json"))


def inference(name: str, kind: Kind) -> dict[str, Any]:
    """A real question that this kind can answer."""
    if kind == "encoder":
        return {"path": "/v1/embeddings", "body": {"model": name, "input": "Hello"}}
    if kind == "translator":
        return {"path": "/v1/translate", "body": {"model": name, "text": "Hello", "max_tokens": 1}}
    if kind == "whisper":
        return {"path": "/v1/audio/transcriptions", "body": {"model": name, "file": _SILENCE, "max_tokens": 1}}
    body = {"model": name, "prompt": "Hello", "max_tokens": 1, "temperature": 0}
    return {"path": "/v1/completions", "body": body}


def _wav(samples: int, rate: int) -> str:
    """Silence of 8 bits, as a data URL."""
    form = b"fmt " + (16).to_bytes(4, "little") + b"\x01\x00\x01\x00" + rate.to_bytes(4, "little") * 2 + b"\x01\x00\x08\x00"
    data = b"data" + samples.to_bytes(4, "little") + b"\x80" * samples
    riff = b"RIFF" + (4 + len(form) + len(data)).to_bytes(4, "little") + b"WAVE" + form + data
    return "data:audio/wav;base64," + base64.b64encode(riff).decode()


_SILENCE = _wav(400, 8000)


def more_config(s: CTranslate2Settings, kind: Kind, model: LockedModel | None) -> dict[str, Any]:
    """What our server is told besides what all kinds have in common."""
    context = model.facts.context if model else None
    if kind == "generator":
        return {"max_model_len": s.max_model_len or context}
    family = family_of(model.facts.architectures) if model else None
    own: dict[str, Any] = {"kind": kind, "max_model_len": s.max_model_len, "max_positions": positions(family, context)}
    if kind == "encoder":
        own |= {"pooling": s.pooling, "normalize": s.normalize}
    if kind == "whisper":
        own |= {"max_body_bytes": _SPEECH_BYTES, "max_positions": None}
    if kind == "translator":
        own |= {"source_language": s.source_language, "target_language": s.target_language}
        own |= {"family": family.config.removesuffix("Config") if family else None}
    return {name: value for name, value in own.items() if value is not None}


def kind_complaints(s: CTranslate2Settings, deployment: DeploymentSpec) -> Iterator[Complaint]:
    """Of the YAML alone."""
    if s.kind == "auto":
        return
    for name, kind in _ONLY.items():
        if getattr(s, name) is not None and s.kind != kind:
            yield Complaint(("engine", "ctranslate2", name), f"only {_article(kind)} has {name}, and kind is {s.kind}")
    if s.kind != "generator" and deployment.sampling.model_dump(exclude_defaults=True):
        yield Complaint(("sampling",), f"{_article(s.kind)} samples no tokens", "leave it out")


def model_complaints(s: CTranslate2Settings, deployment: DeploymentSpec, model: LockedModel) -> Iterator[Complaint]:
    """Of what the lock knows of the model."""
    facts = model.facts
    family = family_of(facts.architectures)
    if not converted(model) and facts.architectures and (family is None or family.kind is None):
        yield _unknown(s, facts.architectures, family)
        return
    if family and family.kind and s.kind not in ("auto", family.kind):
        what = f"{', '.join(facts.architectures)} is {_article(family.kind)}, not {_article(s.kind)}"
        yield Complaint(("engine", "ctranslate2", "kind"), what, "leave it out")
        return
    kind = kind_of(s, model)
    if s.kind == "auto":
        yield from kind_complaints(s.model_copy(update={"kind": kind}), deployment)
    names = {f.path for f in model.files}
    if kind == "encoder" and s.pooling is None and "modules.json" not in names:
        what = f"{model.name} does not say how its tokens' vectors are pooled: it has no modules.json"
        yield Complaint(
            ("model",), what, "engine: {ctranslate2: {pooling: mean}} or cls, and normalize, as the model's card says"
        )
    if kind == "translator" and needs_languages(family) and s.target_language is None:
        what = f"{model.name} translates between many languages, and a request that names none needs a default"
        hint = "target_language and source_language, as the model writes them: eng_Latn, deu_Latn; en, de; en_XX, de_DE"
        yield Complaint(("engine", "ctranslate2", "target_language"), what, hint)


def _unknown(s: CTranslate2Settings, architectures: Sequence[str], family: Family | None) -> Complaint:
    named = ", ".join(architectures)
    if family is not None:
        what = f"CTranslate2 {s.pinned} converts {named}, and deployer's server does not serve speech models of its kind (CTC)"
        return Complaint(("model",), what, "a Whisper model, or another engine")
    what = f"CTranslate2 {s.pinned} has no converter for {named}"
    return Complaint(("model",), what, "engine: {vllm: {}} serves more architectures")


def _article(kind: str) -> str:
    return {"encoder": "an encoder", "whisper": "a Whisper model"}.get(kind, f"a {kind}")
