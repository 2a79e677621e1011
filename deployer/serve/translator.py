"""Models that turn one sequence into another (Marian, NLLB, M2M-100, mBART, T5, …), through `ctranslate2.Translator`."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.serve.config import Config
from deployer.serve.errors import ApiError, ConfigError, bad
from deployer.serve.files import read_object, read_tokenizer
from deployer.serve.loading import open_engine

POSITIONS = 512  # where nobody says how much a model can read
END = "</s>"


@dataclass(frozen=True)
class Options:
    """Requests with equal ones share a call. `prefixed`: the first token of the answer is given."""

    beam: int
    length: int
    prefixed: bool


@dataclass(frozen=True)
class Source:
    """One text as the engine takes it; `prefix` is the token that names the language to translate into."""

    tokens: list[str]
    prefix: str | None


class TranslatorModel:
    """Tokenizers, languages and engine of one model. `context`: tokens of one text."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError that names the file."""
        root = Path(config.model_dir)
        self._pieces, self._text = _tokenizers(root)
        self._vocabulary = _vocabulary(root)
        self.family = config.family or ("Marian" if (root / "source.spm").is_file() else None)
        self._languages = _languages(self.family, root)
        self.defaults = (config.source_language, config.target_language)
        self.context = min(config.max_model_len or POSITIONS, config.max_positions or config.max_model_len or POSITIONS)
        self._engine = open_engine("Translator", config)
        for name, code in zip(("source_language", "target_language"), self.defaults):  # noqa: B905  two of each
            if code is not None and self._languages != "text" and self._token(code) is None:
                raise ConfigError(f"{name}: {code!r} is no language of this model")
        # the first call: a model that loads but cannot run is found before the first client finds it
        self.run([self.source("Hello", None, None)], Options(1, 1, self.many))

    @property
    def compute_type(self) -> str:
        return str(self._engine.compute_type)

    @property
    def many(self) -> bool:
        """Each text needs a language to come from and one to go to."""
        return self._languages in ("before", "after")

    def source(self, text: str, come_from: str | None, to: str | None) -> Source:
        """Raises ApiError 400 for a language that the model does not know, or a text that is too long."""
        pieces = self._pieces(text, self._languages == "text")
        come_from, to = come_from or self.defaults[0], to or self.defaults[1]
        if self._languages == "text":
            if come_from or to:
                raise bad("target_language", "this model takes its task in the text, as in: translate English to German: …")
            return self._checked(Source(pieces, None))
        if self._languages == "marker":
            marker = [self._language("target_language", to, ">>{}<<")] if to else []
            return self._checked(Source([*marker, *pieces, END], None))
        if to is None:
            raise bad("target_language", "this model translates into many languages: which?")
        begin = [self._language("source_language", come_from, "{}")] if come_from else []
        target = self._language("target_language", to, "{}")
        ordered = [*begin, *pieces, END] if self._languages == "before" else [*pieces, END, *begin]
        return self._checked(Source(ordered, target))

    def _checked(self, source: Source) -> Source:
        if len(source.tokens) > self.context:
            what = f"The text has {len(source.tokens)} tokens; this model reads at most {self.context}. Send it in parts."
            raise ApiError(400, what, param="text", code="context_length_exceeded")
        return source

    def _language(self, field: str, code: str | None, form: str) -> str:
        found = self._token(code or "", form)
        if found is None:
            raise bad(field, f"{str(code)[:20]!r} is no language of this model")
        return found

    def _token(self, code: str, form: str = "{}") -> str | None:
        forms = (form.format(code), f">>{code}<<") if self._languages == "marker" else (f"__{code}__", code)
        return next((token for token in forms if token in self._vocabulary and _names_language(token)), None)

    def run(self, payloads: list[Any], key: Hashable) -> Sequence[Any]:
        """(text, tokens) for each Source."""
        assert isinstance(key, Options)
        results = self._engine.translate_batch(
            [source.tokens for source in payloads],
            target_prefix=[[source.prefix] for source in payloads] if key.prefixed else None,
            beam_size=key.beam,
            max_decoding_length=key.length,
            max_input_length=0,
        )
        return [self._made(list(one.hypotheses[0]), source.prefix) for one, source in zip(results, payloads)]  # noqa: B905

    def _made(self, tokens: list[str], prefix: str | None) -> tuple[str, int]:
        if prefix is not None and tokens[:1] == [prefix]:
            tokens = tokens[1:]
        return self._text(tokens), len(tokens)


def _names_language(token: str) -> bool:
    return token.startswith((">>", "__")) or (len(token) >= 5 and "_" in token) or token.isalpha()


def _languages(family: str | None, root: Path) -> str:
    """Where a model of this family wants them: before or after the text, as a marker before it, or in the text itself."""
    if family == "Marian":
        return "marker"
    kind = read_object(root / "tokenizer_config.json").get("tokenizer_class")
    if family == "MBart":
        return "before" if kind and "50" in str(kind) else "after"
    if family == "M2M100" or (family is None and kind in ("NllbTokenizer", "NllbTokenizerFast", "M2M100Tokenizer")):
        return "before"
    return "text"


def _vocabulary(root: Path) -> frozenset[str]:
    for name in ("shared_vocabulary.json", "source_vocabulary.json"):
        if (root / name).is_file():
            return frozenset(json.loads((root / name).read_text(encoding="utf-8")))
    raise ConfigError(f"{root}: there is no shared_vocabulary.json in the model directory")


Pieces = Callable[[str, bool], list[str]]
Text = Callable[[list[str]], str]


def _tokenizers(root: Path) -> tuple[Pieces, Text]:
    """(text → tokens, with the model's own special ones when asked; tokens → text)."""
    for source, target in (("source.spm", "target.spm"), ("sentencepiece.bpe.model",) * 2, ("spiece.model",) * 2):
        if (root / source).is_file() and not (root / "tokenizer.json").is_file():
            return _sentencepiece(root / source, root / target)
    tokenizer = read_tokenizer(root)

    def pieces(text: str, special: bool) -> list[str]:
        return list(tokenizer.encode(text, add_special_tokens=special).tokens)

    def text(tokens: list[str]) -> str:
        ids = [number for token in tokens if (number := tokenizer.token_to_id(token)) is not None]
        return str(tokenizer.decode(ids, skip_special_tokens=True))

    return pieces, text


def _sentencepiece(source: Path, target: Path) -> tuple[Pieces, Text]:
    from sentencepiece import SentencePieceProcessor

    try:
        reads, writes = SentencePieceProcessor(model_file=str(source)), SentencePieceProcessor(model_file=str(target))
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{source}: {error}") from None

    def pieces(text: str, special: bool) -> list[str]:
        return [*reads.encode(text, out_type=str), *([END] if special else [])]

    return pieces, lambda tokens: str(writes.decode([token for token in tokens if token != END]))
