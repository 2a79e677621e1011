"""Whisper models: 30 seconds of sound into tokens, through `ctranslate2.models.Whisper`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from deployer.serve.config import Config
from deployer.serve.errors import ConfigError
from deployer.serve.files import read_object, read_tokenizer
from deployer.serve.loading import open_engine
from deployer.serve.mel import log_mel

POSITIONS = 448  # tokens of one window, prompt included, of every published Whisper
DETECT = "detect"


@dataclass(frozen=True)
class Options:
    """How tokens are chosen; windows with equal ones share a call. `length`: prompt and answer together."""

    temperature: float
    length: int
    prompt: int  # tokens of the prompt: those of one call have as many


@dataclass(frozen=True)
class Heard:
    """Token ids of one window, and the engine's figures about them."""

    ids: list[int]
    score: float
    no_speech: float


class WhisperModel:
    """Tokenizer and engine of one model. `context`: tokens of one window of 30 s, prompt included."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError that names the file."""
        root = Path(config.model_dir)
        self.tokenizer: Tokenizer = read_tokenizer(root)
        self.context = config.max_model_len or POSITIONS
        self.begin, self.end = self._token(root, "<|startoftranscript|>"), self._token(root, "<|endoftext|>")
        self.transcribe, self.translate = self._token(root, "<|transcribe|>"), self._token(root, "<|translate|>")
        self.plain = self._token(root, "<|notimestamps|>")
        self.first_time = self.plain + 1  # <|0.00|>, then every 0.02 s
        self._engine = open_engine("Whisper", config)
        self.multilingual = bool(self._engine.is_multilingual)
        bands = read_object(root / "preprocessor_config.json").get("feature_size")
        self.bands = bands if isinstance(bands, int) else int(self._engine.n_mels)
        # the first call: a model that loads but cannot run is found before the first client finds it
        self.run([(self.features(np.zeros(0, np.float32)), [self.begin])], Options(0.0, 3, 1))

    @property
    def compute_type(self) -> str:
        return str(self._engine.compute_type)

    def _token(self, root: Path, text: str) -> int:
        found = self.tokenizer.token_to_id(text)
        if found is None:
            raise ConfigError(f"{root / 'tokenizer.json'}: it has no {text}, which every Whisper model has")
        return int(found)

    def language(self, code: str) -> int | None:
        """The token of "de"; None when the model does not know it."""
        found = self.tokenizer.token_to_id(f"<|{code}|>") if code.isalnum() else None
        return found if found is not None and self.begin < found < min(self.translate, self.transcribe) else None

    def features(self, samples: Any) -> Any:
        return log_mel(samples, self.bands)

    def text(self, ids: Sequence[int]) -> str:
        """Without special tokens and times."""
        return str(self.tokenizer.decode([number for number in ids if number < self.end], skip_special_tokens=True))

    def run(self, payloads: list[Any], key: Hashable) -> Sequence[Any]:
        """For `DETECT` a language token's text for each features; else Heard for each (features, prompt)."""
        from ctranslate2 import StorageView

        if key == DETECT:
            found = self._engine.detect_language(StorageView.from_array(np.stack(payloads)))
            return [best[0][0] for best in found]
        assert isinstance(key, Options)
        sampled = {"sampling_topk": 0, "sampling_temperature": key.temperature} if key.temperature > 0 else {}
        results = self._engine.generate(
            StorageView.from_array(np.stack([features for features, _ in payloads])),
            [prompt for _, prompt in payloads],
            beam_size=1 if sampled else 5,
            max_length=key.length,
            return_scores=True,
            return_no_speech_prob=True,
            **sampled,
        )
        return [Heard(list(one.sequences_ids[0]), float(one.scores[0]), float(one.no_speech_prob)) for one in results]
