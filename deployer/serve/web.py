"""What the applications of all kinds share: reading a body, telling errors in OpenAI's shape, noticing who went away."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from deployer.serve.errors import ApiError
from deployer.serve.journal import Entry
from deployer.serve.kinds import other_kind

T = TypeVar("T")


async def read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ApiError(413, f"The body is larger than {limit} bytes.", code="body_too_large")
    return bytes(body)


async def unless_gone(request: Request, answer: asyncio.Future[T]) -> T:
    """What `answer` gives. Raises ClientDisconnect when the client has closed the connection before; its body has been read."""
    gone = asyncio.ensure_future(_gone(request))
    both: set[asyncio.Future[Any]] = {gone, answer}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answer_error(error: ApiError) -> Response:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else None
    return JSONResponse(error.body(), error.status, headers=headers)


def refusal(entry: Entry, error: ApiError | ClientDisconnect) -> Response:
    """The answer to a request that ends so, and what its log line says."""
    if isinstance(error, ClientDisconnect):
        entry.status = 499
        return Response(status_code=499)
    entry.status = error.status
    entry.error = error.code or error.param or error.kind
    return answer_error(error)


def error_handlers(kind: str) -> dict[Any, Any]:
    """For Starlette, whose own errors are plain text."""

    async def api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return answer_error(error)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = other_kind(kind, request.url.path) if error.status_code == 404 else None
        if known is not None:
            return answer_error(known)
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse(ApiError(error.status_code, message).body(), error.status_code, headers=error.headers)

    async def unexpected(_: Request, error: Exception) -> Response:
        return answer_error(ApiError(500, "Something went wrong in the server; its log says more.", kind="server_error"))

    return {HTTPException: http_error, ApiError: api_error, Exception: unexpected}
