"""CTranslate2's classes, opened as the configuration says. The engine is imported only here."""

from __future__ import annotations

from typing import Any

from deployer.serve.config import Config
from deployer.serve.errors import ConfigError


def open_engine(name: str, config: Config) -> Any:
    """`name` is a class of ctranslate2, or of ctranslate2.models. Raises ConfigError for what this device cannot compute in."""
    import ctranslate2

    able = ctranslate2.get_supported_compute_types(config.device)
    if config.compute_type not in ("default", "auto", *able):
        # CTranslate2 takes another type for some of them without a word; for the others these are its words
        what = f"Requested {config.compute_type} compute type, but the target device or backend do not support it"
        raise ConfigError(f"{what}; this {config.device} can: {', '.join(sorted(able))}")
    made = getattr(ctranslate2, name, None) or getattr(ctranslate2.models, name)
    return made(
        config.model_dir,
        device=config.device,
        device_index=list(config.device_index),
        compute_type=config.compute_type,
        inter_threads=config.inter_threads,
        intra_threads=config.intra_threads,
    )
