"""What can go wrong: ConfigError stops the start (exit 2), ApiError is an answer in OpenAI's shape."""

from __future__ import annotations

from typing import Any


class ConfigError(Exception):
    """The configuration or the model directory cannot be served. The text says what and where."""


class ApiError(Exception):
    """A request that is refused. `param` names the field of the request that is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.kind = kind
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        param = None if self.param is None else _whole(self.param)
        return {"error": {"message": _whole(self.message), "type": self.kind, "param": param, "code": self.code}}


def _whole(text: str) -> str:
    """What a client wrote may come back to it in a message, and half a surrogate pair cannot be sent."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def bad(param: str, message: str) -> ApiError:
    """400 that names the field."""
    return ApiError(400, f"{param}: {message}", param=param)
