"""What every request's body is, whatever kind of model it asks: a JSON object that names a model served here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deployer.serve.errors import ApiError


def parse_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ApiError(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise ApiError(400, "The body is nested too deeply.") from None
    except ValueError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return body


def check_model_name(body: dict[str, Any], names: Sequence[str]) -> str:
    """The name to answer with. A request without a model means the only one that is here."""
    name = body.get("model")
    if name is None:
        return names[0]
    if name not in names:
        message = f"The model {name!r} does not exist here. Served: {', '.join(names)}."
        raise ApiError(404, message, param="model", code="model_not_found")
    return str(name)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")
