"""The HTTP side: routes, bodies, streams, clients that go away, one log line per request."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deployer.serve.about import about
from deployer.serve.answer import Answer, event
from deployer.serve.body import parse_body
from deployer.serve.errors import ApiError
from deployer.serve.journal import Journal
from deployer.serve.kinds import GENERATOR
from deployer.serve.logprobs import chat_logprobs, completion_logprobs
from deployer.serve.request import Job, make_job
from deployer.serve.scoring import Scores
from deployer.serve.service import Service, Ticket
from deployer.serve.tokens import detokenize, tokenize, tokenizer_info
from deployer.serve.web import error_handlers, read_body, refusal, unless_gone

_Made = TypeVar("_Made")

_SMALL = 16 * 1024  # bytes of a body that is read faster than handed to another thread
_SSE = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def build_app(service: Service, journal: Journal) -> Starlette:
    """The application over a service that may still be loading."""
    api = _Api(service, journal)
    return Starlette(
        routes=[
            *about(service),
            Route("/tokenize", api.tokenize, methods=["POST"]),
            Route("/detokenize", api.detokenize, methods=["POST"]),
            Route("/tokenizer_info", api.tokenizer_info),
            Route("/v1/chat/completions", api.chat, methods=["POST"]),
            Route("/v1/completions", api.completions, methods=["POST"]),
        ],
        exception_handlers=error_handlers(GENERATOR),
    )


class _Api:
    def __init__(self, service: Service, journal: Journal) -> None:
        self._service = service
        self._journal = journal

    async def tokenizer_info(self, _: Request) -> Response:
        return JSONResponse(tokenizer_info(self._service.admit()))

    async def tokenize(self, request: Request) -> Response:
        return JSONResponse(await self._with_body(request, tokenize))

    async def detokenize(self, request: Request) -> Response:
        return JSONResponse(await self._with_body(request, detokenize))

    async def _with_body(self, request: Request, make: Callable[..., _Made]) -> _Made:
        """`make(body, model=…, names=…)`, in a thread where it may take a while."""
        model = self._service.admit()
        raw = await read_body(request, self._service.config.max_body_bytes)
        names = self._service.config.model_names
        if len(raw) <= _SMALL:
            return make(parse_body(raw), model=model, names=names)
        return await run_in_threadpool(lambda: make(parse_body(raw), model=model, names=names))

    async def chat(self, request: Request) -> Response:
        return await self._complete(request, chat=True)

    async def completions(self, request: Request) -> Response:
        return await self._complete(request, chat=False)

    async def _complete(self, request: Request, *, chat: bool) -> Response:
        entry = self._journal.open(request.url.path)
        self._service.busy += 1
        streaming = False
        ticket: Ticket | None = None
        try:
            job = await self._with_body(request, functools.partial(make_job, chat=chat))
            ticket = self._service.submit(job)
            answer = Answer(job, request.headers.get("x-request-id"))
            entry.accepted(answer.id, job, ticket.rows)
            if job.stream:
                streaming = True
                headers = {**_SSE, "X-Request-Id": answer.id}
                return _Stream(self._stream(answer, job, ticket), self._closer(ticket, entry.close), headers=headers)
            return await self._whole(request, answer, job, ticket)
        except (ApiError, ClientDisconnect) as error:
            return refusal(entry, error)
        except Exception:
            entry.status = 500
            raise
        finally:
            if not streaming:
                self._closer(ticket, entry.close)()

    def _closer(self, ticket: Ticket | None, close: Callable[[], None]) -> Callable[[], None]:
        def end() -> None:
            self._service.busy -= 1
            if ticket is not None:
                ticket.close()
            close()

        return end

    async def _stream(self, answer: Answer, job: Job, ticket: Ticket) -> AsyncIterator[str]:
        """The first chunk of an answer comes with its first token: clients take it for the time that one took."""
        silent, left = set(range(len(ticket.rows))), len(ticket.rows)
        while left:
            index, kind, text = await ticket.next()
            chunk = ""
            if kind != "error" and index in silent:
                silent.discard(index)
                chunk = answer.opening(index, self._echo(job, index), ticket.tokens)
            if kind == "text":
                yield chunk + answer.piece(index, text, ticket.tokens)
            elif kind == "end":
                left -= 1
                yield chunk + answer.closing(index, text, ticket.tokens)
            else:
                yield event(_engine_error(text, ticket.rows[index].reason).body()) + "data: [DONE]\n\n"
                return
        yield answer.end(ticket.tokens)

    def _echo(self, job: Job, index: int) -> str:
        prompt = job.choices[index][0]
        if not job.output.echo or self._service.model is None:
            return ""
        return prompt.text if prompt.text is not None else self._service.model.decode_all(prompt.ids)

    async def _whole(self, request: Request, answer: Answer, job: Job, ticket: Ticket) -> Response:
        made = asyncio.ensure_future(self._made(answer, job, ticket))
        try:
            return JSONResponse(await unless_gone(request, made), headers={"X-Request-Id": answer.id})
        finally:
            made.cancel()

    async def _made(self, answer: Answer, job: Job, ticket: Ticket) -> dict[str, Any]:
        texts = await _collect(ticket)
        logprobs: list[Any] = [None] * len(texts)
        if job.output.top is not None:
            logprobs = self._logprobs(job, ticket, await self._service.scores(job, ticket.rows))
        choices = [(self._echo(job, at) + text, reason, logprobs[at]) for at, (text, reason) in enumerate(texts)]
        return answer.whole(choices, ticket.tokens)

    def _logprobs(self, job: Job, ticket: Ticket, scores: list[Scores]) -> list[Any]:
        assert self._service.model is not None
        name, top, result = self._service.model.name, job.output.top or 0, []
        for at, (prompt, _) in enumerate(job.choices):
            ids, begin = prompt.ids + ticket.rows[at].said, 0 if job.output.echo else len(prompt.ids)
            shape = chat_logprobs if job.chat else completion_logprobs
            result.append(shape(ids, scores[at], begin, top, name))
        return result


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


async def _collect(ticket: Ticket) -> list[tuple[str, str]]:
    """(text, finish reason) of every answer, when all have ended."""
    parts: list[list[str]] = [[] for _ in ticket.rows]
    reasons = [""] * len(parts)
    while not all(reasons):
        index, kind, text = await ticket.next()
        if kind == "text":
            parts[index].append(text)
        elif kind == "end":
            reasons[index] = text
        else:
            raise _engine_error(text, ticket.rows[index].reason)
    return [("".join(part), reason) for part, reason in zip(parts, reasons)]  # noqa: B905  Python 3.9


def _engine_error(message: str, reason: str | None) -> ApiError:
    if reason == "deadline":
        return ApiError(504, message, kind="timeout_error", code="deadline_exceeded")
    return ApiError(500, message, kind="server_error", code="engine_error")
