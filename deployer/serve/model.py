"""The model directory: tokenizer, chat template, defaults, vocabulary; and the engine that is loaded from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer

from deployer.serve.batching import Generator
from deployer.serve.chat import ChatTemplate
from deployer.serve.config import Config
from deployer.serve.errors import ConfigError
from deployer.serve.files import read_object, read_tokenizer
from deployer.serve.sampling import Defaults, model_defaults

_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


@dataclass(frozen=True)
class Model:
    """Everything about a model but its weights. `vocabulary[id]` is the engine's name of a token; `context` in tokens."""

    tokenizer: Tokenizer
    template: ChatTemplate | None
    defaults: Defaults
    vocabulary: tuple[str, ...]
    eos: frozenset[int]
    special: frozenset[int]
    context: int
    settings: dict[str, Any]  # what tokenizer_config.json says

    def decode_all(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False))

    def name(self, token: int) -> str:
        """One token as text; what is only a part of a character is �."""
        return self.decode_all([token])

    def decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


def load_model(config: Config) -> Model:
    """Raises ConfigError that names the file."""
    root = Path(config.model_dir)
    tokenizer = read_tokenizer(root)
    settings, generation = read_object(root / "tokenizer_config.json"), read_object(root / "generation_config.json")
    special = {name: text for name, text in ((n, _token_text(settings.get(n))) for n in _SPECIAL) if text is not None}
    added = tokenizer.get_added_tokens_decoder()
    return Model(
        tokenizer=tokenizer,
        template=_template(root, settings, special),
        defaults=config.sampling.over(model_defaults(generation)),
        vocabulary=_vocabulary(root, tokenizer),
        eos=_eos(generation, special, tokenizer),
        special=frozenset(number for number, token in added.items() if token.special),
        context=_context(config, settings),
        settings=settings,
    )


def load_generator(config: Config) -> Generator:
    """The engine with its weights, checked to compute as asked and to answer. Imports the engine only here."""
    import ctranslate2

    if config.sampling.seed is not None:
        ctranslate2.set_random_seed(config.sampling.seed)
    wanted = config.compute_type
    able = ctranslate2.get_supported_compute_types(config.device)
    if wanted not in ("default", "auto") and wanted not in able:
        # CTranslate2 takes another type for some of them without a word; for the others these are its words
        what = f"Requested {wanted} compute type, but the target device or backend do not support it"
        raise ConfigError(f"{what}; this {config.device} can: {', '.join(sorted(able))}")
    return cast(
        Generator,
        ctranslate2.Generator(
            config.model_dir,
            device=config.device,
            device_index=list(config.device_index),
            compute_type=wanted,
            inter_threads=config.inter_threads,
            intra_threads=config.intra_threads,
        ),
    )


def warm_up(generator: Generator, model: Model) -> None:
    """One token, so that a model which loads but cannot run is found before the first client finds it."""
    generator.generate_batch([[model.vocabulary[0]]], max_length=1, include_prompt_in_result=False)


def _token_text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _template(root: Path, settings: dict[str, Any], special: dict[str, str]) -> ChatTemplate | None:
    path = root / "chat_template.jinja"
    source = path.read_text(encoding="utf-8") if path.is_file() else settings.get("chat_template")
    if isinstance(source, list):  # several, by name
        source = next((entry.get("template") for entry in source if entry.get("name") == "default"), None)
    return ChatTemplate(source, special) if isinstance(source, str) and source else None


def _vocabulary(root: Path, tokenizer: Tokenizer) -> tuple[str, ...]:
    for name, parse in _VOCABULARIES.items():
        if (root / name).is_file():
            return tuple(parse((root / name).read_text(encoding="utf-8")))
    return tuple(str(tokenizer.id_to_token(number)) for number in range(tokenizer.get_vocab_size()))


_VOCABULARIES: dict[str, Callable[[str], list[str]]] = {
    "vocabulary.json": json.loads,
    "vocabulary.txt": lambda text: text.split("\n"),
}


def _eos(generation: dict[str, Any], special: dict[str, str], tokenizer: Tokenizer) -> frozenset[int]:
    said = generation.get("eos_token_id")
    if said is None:
        said = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
    ids = [said] if isinstance(said, int) else said or []
    if not ids:
        raise ConfigError("the model does not say which token ends an answer (eos_token_id of generation_config.json)")
    return frozenset(ids)


def _context(config: Config, settings: dict[str, Any]) -> int:
    if config.max_model_len is not None:
        return config.max_model_len
    said = settings.get("model_max_length")
    if isinstance(said, int) and 1 < said < 2**31:
        return said
    raise ConfigError("max_model_len is missing, and tokenizer_config.json does not say how much the model can read")
