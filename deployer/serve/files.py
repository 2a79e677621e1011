"""Files of a model directory that all kinds read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from deployer.serve.errors import ConfigError


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; {} when the file is not there. Raises ConfigError for one that cannot be read."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return data if isinstance(data, dict) else {}


def read_tokenizer(root: Path) -> Tokenizer:
    """tokenizer.json without the truncation and padding that may be stored in it."""
    if not (root / "tokenizer.json").is_file():
        raise ConfigError(f"{root}: there is no tokenizer.json in the model directory")
    try:
        tokenizer = Tokenizer.from_file(str(root / "tokenizer.json"))
    except Exception as error:  # noqa: BLE001  tokenizers raises plain Exception
        raise ConfigError(f"{root / 'tokenizer.json'}: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
