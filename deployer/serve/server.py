"""The HTTP side: routes, bodies, streams, clients that go away, one log line per request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deployer.serve.answer import Answer, event
from deployer.serve.errors import ApiError
from deployer.serve.journal import Journal
from deployer.serve.kinds import GENERATOR, other_kind
from deployer.serve.request import Job, make_job, parse_body
from deployer.serve.service import Service, Ticket
from deployer.serve.web import model_list

_SMALL = 16 * 1024  # bytes of a body that is read faster than handed to another thread
_SSE = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def build_app(service: Service, journal: Journal) -> Starlette:
    """The application over a service that may still be loading."""
    api = _Api(service, journal)
    return Starlette(
        routes=[
            Route("/health", api.health),
            Route("/metrics", api.metrics),
            Route("/v1/models", api.models),
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/v1/completions", api.completions, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _http_error, ApiError: _api_error, Exception: _unexpected},
    )


class _Api:
    def __init__(self, service: Service, journal: Journal) -> None:
        self._service = service
        self._journal = journal
        self._created = int(time.time())

    async def health(self, _: Request) -> Response:
        state = self._service.state
        return JSONResponse({"status": state}, 200 if state == "ready" else 503)

    async def metrics(self, _: Request) -> Response:
        return PlainTextResponse(self._service.metrics.render(self._service.gauges()), media_type="text/plain; version=0.0.4")

    async def models(self, _: Request) -> Response:
        model = self._service.admit()
        config = self._service.config
        return JSONResponse(model_list(config, model.context, self._service.compute_type, self._created))

    async def chat(self, request: Request) -> Response:
        return await self._complete(request, chat=True)

    async def completions(self, request: Request) -> Response:
        return await self._complete(request, chat=False)

    async def _complete(self, request: Request, *, chat: bool) -> Response:
        entry = self._journal.open(request.url.path)
        self._service.busy += 1
        streaming = False
        try:
            job = await self._job(request, chat=chat)
            ticket = self._service.submit(job)
            answer = Answer(job)
            entry.accepted(answer.id, job, ticket.row)
            if job.stream:
                streaming = True
                return _Stream(self._stream(answer, ticket), self._closer(ticket, entry.close), headers=_SSE)
            return await self._whole(request, answer, ticket)
        except ApiError as error:
            entry.status = error.status
            entry.error = error.code or error.param or error.kind
            return _answer_error(error)
        except ClientDisconnect:
            entry.status = 499
            return Response(status_code=499)
        except Exception:
            entry.status = 500
            raise
        finally:
            if not streaming:
                self._closer(None, entry.close)()

    def _closer(self, ticket: Ticket | None, close: Callable[[], None]) -> Callable[[], None]:
        def end() -> None:
            self._service.busy -= 1
            if ticket is not None:
                ticket.row.cancel()  # nothing for a row that has ended
            close()

        return end

    async def _job(self, request: Request, *, chat: bool) -> Job:
        model = self._service.admit()
        raw = await _read(request, self._service.config.max_body_bytes)
        names = self._service.config.model_names
        if len(raw) <= _SMALL:
            return make_job(parse_body(raw), chat=chat, model=model, names=names)
        return await run_in_threadpool(lambda: make_job(parse_body(raw), chat=chat, model=model, names=names))

    async def _stream(self, answer: Answer, ticket: Ticket) -> AsyncIterator[str]:
        opening = answer.opening()
        if opening:
            yield opening
        while True:
            kind, text = await ticket.next()
            if kind == "text":
                yield answer.piece(text)
            elif kind == "end":
                yield answer.closing(text, ticket.row.tokens)
                return
            else:
                yield event(_engine_error(text).body())
                yield "data: [DONE]\n\n"
                return

    async def _whole(self, request: Request, answer: Answer, ticket: Ticket) -> Response:
        gone = asyncio.ensure_future(_gone(request))
        collected = asyncio.ensure_future(_collect(ticket))
        try:
            await asyncio.wait({gone, collected}, return_when=asyncio.FIRST_COMPLETED)
            if not collected.done():
                raise ClientDisconnect
            text, reason = collected.result()
            return JSONResponse(answer.whole(text, reason, ticket.row.tokens))
        finally:
            ticket.row.cancel()
            gone.cancel()
            collected.cancel()


class _Stream(StreamingResponse):
    """Calls `done` exactly once, also when the client is gone before the first byte."""

    def __init__(self, content: AsyncIterator[str], done: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._done = done

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()


async def _collect(ticket: Ticket) -> tuple[str, str]:
    parts: list[str] = []
    while True:
        kind, text = await ticket.next()
        if kind == "end":
            return "".join(parts), text
        if kind == "error":
            raise _engine_error(text)
        parts.append(text)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection. The body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ApiError(413, f"The body is larger than {limit} bytes.", code="body_too_large")
    return bytes(body)


def _engine_error(message: str) -> ApiError:
    return ApiError(500, message, kind="server_error", code="engine_error")


def _answer_error(error: ApiError) -> Response:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else None
    return JSONResponse(error.body(), error.status, headers=headers)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _answer_error(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    other = other_kind(GENERATOR, request.url.path) if error.status_code == 404 else None
    if other is not None:
        return _answer_error(other)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse(ApiError(error.status_code, message).body(), error.status_code, headers=error.headers)


async def _unexpected(_: Request, error: Exception) -> Response:
    return _answer_error(ApiError(500, "Something went wrong in the server; its log says more.", kind="server_error"))
