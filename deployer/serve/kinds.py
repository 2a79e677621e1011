"""Kinds of models: which class of CTranslate2 serves one, and which routes it has. A model that is asked for another kind's
route says what it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from deployer.serve.errors import ApiError, ConfigError

GENERATOR, ENCODER, TRANSLATOR, WHISPER = KINDS = ("generator", "encoder", "translator", "whisper")

ROUTES: dict[str, tuple[str, ...]] = {
    GENERATOR: ("/v1/chat/completions", "/v1/completions"),
    ENCODER: ("/v1/embeddings",),
    TRANSLATOR: ("/v1/translate", "/v1/chat/completions"),
    WHISPER: ("/v1/audio/transcriptions", "/v1/audio/translations"),
}
_IS = {
    GENERATOR: "generates text",
    ENCODER: "makes embeddings",
    TRANSLATOR: "translates text",
    WHISPER: "writes down speech",
}
#: The first word of a model.bin after its version: what the converter made.
_SPECS = {
    "TransformerDecoderSpec": GENERATOR,
    "TransformerEncoderSpec": ENCODER,
    "TransformerSpec": TRANSLATOR,
    "WhisperSpec": WHISPER,
}


def other_kind(kind: str, path: str) -> ApiError | None:
    """404 for a route that models of another kind have; None for one that nobody has."""
    if path not in {route for routes in ROUTES.values() for route in routes}:
        return None
    message = f"This model {_IS[kind]}; it does not answer {path}. Ask it at {_list(ROUTES[kind])}."
    return ApiError(404, message, code="wrong_model_kind")


def check_kind(model_dir: str, kind: str) -> None:
    """Raises ConfigError when model.bin holds a model of another kind; a file that cannot be read is the engine's to refuse."""
    path = Path(model_dir) / "model.bin"
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return
    found = _SPECS.get(_spec_name(head))
    if found is not None and found != kind:
        raise ConfigError(
            f"{path} holds a model that {_IS[found]}, and it is to be served as one that {_IS[kind]}: kind: {found}"
        )


def _spec_name(head: bytes) -> str:
    """uint32 version, uint16 length with its final zero, the name."""
    if len(head) < 8:
        return ""
    (length,) = struct.unpack_from("<H", head, 4)
    return head[6 : 6 + length].split(b"\0")[0].decode("ascii", "replace")


def _list(paths: Iterable[str]) -> str:
    return " or ".join(paths)
