"""Encoder models: texts into vectors, through `ctranslate2.Encoder`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from deployer.serve.config import Config
from deployer.serve.errors import ConfigError
from deployer.serve.files import read_object, read_tokenizer
from deployer.serve.loading import open_engine
from deployer.serve.pooling import read_pooling


class EncoderModel:
    """Tokenizer, pooling and engine of one model. `context`: the most tokens of a text, special ones included."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError that names the file."""
        root = Path(config.model_dir)
        self.tokenizer: Tokenizer = read_tokenizer(root)
        self.pooling = read_pooling(root, config.pooling, config.normalize)
        self.context = _context(config, self.pooling.limit, read_object(root / "tokenizer_config.json"))
        self._engine = open_engine("Encoder", config)
        self.vocabulary = self.tokenizer.get_vocab_size()
        # also the first call: a model that loads but cannot run is found before the first client finds it
        self.size = len(self.run([self.encode("x", None)], None)[0])

    @property
    def compute_type(self) -> str:
        return str(self._engine.compute_type)

    def encode(self, text: str, most: int | None, special: bool = True) -> list[int]:
        """Token ids; no more than `most`, special ones kept. None: as many as there are."""
        encoding = self.tokenizer.encode((self.pooling.prompt or "") + text, add_special_tokens=special)
        if most is not None and len(encoding.ids) > most:
            around = self.tokenizer.num_special_tokens_to_add(False) if special else 0
            encoding = self.tokenizer.encode((self.pooling.prompt or "") + text, add_special_tokens=False)
            encoding.truncate(max(most - around, 0))
            if special:
                encoding = self.tokenizer.post_process(encoding, None, True)
        return list(encoding.ids)

    def run(self, payloads: list[Any], key: Hashable) -> Sequence[Any]:
        """A vector for each list of token ids."""
        return self.pooling.pool(self._vectors(payloads), [len(ids) for ids in payloads])

    def _vectors(self, inputs: list[list[int]]) -> Any:
        from ctranslate2 import DataType, Device

        view = self._engine.forward_batch(inputs).last_hidden_state
        if self._engine.device != "cpu":
            view = view.to_device(Device.cpu)
        return np.array(view.to(DataType.float32))


def _context(config: Config, stated: int | None, settings: dict[str, Any]) -> int:
    """The deployment's word, else the repository's, never more than the model has positions for."""
    longest = settings.get("model_max_length")
    longest = longest if isinstance(longest, int) and 1 < longest < 2**31 else None
    wanted = config.max_model_len or stated or longest or config.max_positions
    if wanted is None:
        raise ConfigError("max_model_len is missing, and the repository does not say how much the model can read")
    return min(wanted, config.max_positions or wanted)
