"""One request from its first byte to its last: through the scripts to the engine, and back to the client."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from deployer.handler.answer import Answer, Problem, json_answer
from deployer.handler.config import Config
from deployer.handler.counters import Counters
from deployer.handler.engine import Engine, EngineGone, without_hop
from deployer.handler.journal import say
from deployer.handler.predict import Predictor
from deployer.handler.record import Entry
from deployer.handler.requestlog import RequestLog
from deployer.handler.scripts import Message
from deployer.handler.transform import Transformer

#: Of the client's API key, as the gateway tells it (deployer/render/gateway); it takes away what a client sends under this name.
KEY_NAME = "X-Deployer-Key"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
#: A body of a known length up to this is read before it goes on: one piece to the engine instead of chunks.
SMALL = 1 << 20


class Front:
    """`state`: loading → ready → draining. Exactly one of `engine` and `predictor` is there."""

    def __init__(self, config: Config, counters: Counters) -> None:
        self.config, self.counters = config, counters
        self.state = "loading"
        self.engine: Engine | None = None
        self.predictor: Predictor | None = None
        self.transformer: Transformer | None = None
        self.log: RequestLog | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == self._health_path:
            return await self._send(request, await self._health(request))
        if request.path == "/metrics":
            return await self._send(request, await self._metrics(request))
        self.counters.running += 1
        status = 499  # the client went away, unless something is answered
        entry = self._entry(request)
        try:
            answer = await self._answer(request, entry)
            status = answer.status
            return await self._send(request, answer, entry)
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            self.counters.running -= 1
            self.counters.answered(status)
            if self.log is not None and entry is not None:
                self.log.close_entry(entry, status)

    def _entry(self, request: web.BaseRequest) -> Entry | None:
        if self.log is None:
            return None
        named = request.headers
        return self.log.open(request.method, request.path, named.get("X-Request-Id"), named.get(KEY_NAME))

    @property
    def _health_path(self) -> str:
        return self.config.upstream.ready_path if self.config.upstream else "/health"

    async def _health(self, request: web.BaseRequest) -> Answer:
        if self.state != "ready":
            return json_answer({"status": self.state}, 503)
        if self.engine is None:
            return json_answer({"status": "ready"})
        try:
            return await self.engine.ask(request.method, request.raw_path, without_hop(request.headers), None)
        except Problem as problem:
            return problem.answer()

    async def _metrics(self, request: web.BaseRequest) -> Answer:
        text = b""
        if self.engine is not None:
            try:
                answer = await self.engine.ask("GET", request.raw_path, {}, None)
                body = answer.body if answer.chunks is None else b"".join([chunk async for chunk in answer.chunks])
                text = body if answer.status == 200 else b""
            except (Problem, EngineGone):
                text = b""  # it is not there yet: our own figures all the same
        joint = b"" if not text or text.endswith(b"\n") else b"\n"
        return Answer(200, {"Content-Type": METRICS}, text + joint + self.counters.text().encode())

    async def _answer(self, request: web.BaseRequest, entry: Entry | None) -> Answer:
        try:
            if self.state != "ready":
                raise Problem(503, f"The model is {self.state}.", code="not_ready")
            if self.engine is None or self.transformer is not None:
                return await self._scripted(request, entry)
            return await self._passed(self.engine, request, entry)
        except Problem as problem:
            return problem.answer()

    async def _scripted(self, request: web.BaseRequest, entry: Entry | None) -> Answer:
        if self.predictor is not None and request.method == "GET" and request.path == "/v1/models":
            return self.predictor.models()
        is_json = request.method == "POST" and request.content_type == "application/json"
        served = not self.config.paths or request.path in self.config.paths
        if self.engine is not None and not (is_json and served):
            return await self._passed(self.engine, request, entry)
        if not is_json:
            raise Problem(404 if request.method != "POST" else 415, "A POST with a body of application/json is wanted.")
        message = await self._message(request, entry)
        headers = _forwarded(request, message.id)

        async def ask(changed: Message) -> Answer:
            if self.predictor is not None:
                return await self.predictor.ask(changed)
            assert self.engine is not None
            return await self.engine.ask("POST", request.raw_path, headers, json.dumps(changed).encode())

        if self.transformer is None:
            return await ask(message)
        return await self.transformer.run(message, ask)

    async def _message(self, request: web.BaseRequest, entry: Entry | None) -> Message:
        if "Content-Encoding" in request.headers:
            raise Problem(415, "A compressed body cannot be read here.")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Problem(413, f"The body is larger than {self.config.max_body_bytes} bytes.", code="body_too_large") from None
        if entry is not None:
            entry.request, entry.request_bytes = body, len(body)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise Problem(400, "The body is not JSON.") from None
        if not isinstance(data, dict):
            raise Problem(400, "The body must be a JSON object.")
        message = Message(data)
        message.path, message.headers = request.path, request.headers
        message.id = entry.id if entry is not None else request.headers.get("X-Request-Id") or uuid.uuid4().hex
        return message

    async def _passed(self, engine: Engine, request: web.BaseRequest, entry: Entry | None) -> Answer:
        headers = without_hop(request.headers)
        body: Any = None
        if request.body_exists:
            small = request.content_length is not None and request.content_length <= SMALL
            body = await request.read() if small else request.content
            if entry is not None:
                entry.request_bytes = len(body) if small else request.content_length or 0
                entry.request = body if small else None
        if entry is not None:
            headers["X-Request-Id"] = entry.id
        return await engine.ask(request.method, request.raw_path, headers, body)

    async def _send(self, request: web.BaseRequest, answer: Answer, entry: Entry | None = None) -> web.StreamResponse:
        headers = CIMultiDict(answer.headers)
        if self.state == "draining":
            headers["Connection"] = "close"
        if entry is not None:
            entry.kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if answer.chunks is None:
            if entry is not None:
                entry.sent(answer.body)
            headers.popall("Content-Length", None)
            response: web.StreamResponse = web.Response(status=answer.status, headers=headers, body=answer.body)
            await response.prepare(request)
            await response.write_eof()
            return response
        response = web.StreamResponse(status=answer.status, headers=headers)
        try:
            await response.prepare(request)
            async for chunk in answer.chunks:
                if entry is not None:
                    entry.sent(chunk)
                await response.write(chunk)
            await response.write_eof()
        except EngineGone:
            asked = request.path if request.path in self.config.paths else "an answer"  # no text of a client goes to this log
            say(f"the engine broke off in the middle of {asked}")
            if request.transport is not None:
                request.transport.abort()  # a clean end would say that the answer is whole
        finally:
            answer.close()
        return response


def _forwarded(request: web.BaseRequest, request_id: str) -> Mapping[str, str]:
    """The request's headers for a body that was changed."""
    headers = without_hop(request.headers)
    headers.popall("Content-Length", None)
    headers["X-Request-Id"] = request_id
    return headers
