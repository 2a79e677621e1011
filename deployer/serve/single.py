"""The service and the application of the kinds whose work is one call of the engine: encoder, translator, Whisper."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from importlib import import_module
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deployer.serve.config import Config
from deployer.serve.errors import ApiError
from deployer.serve.journal import Journal
from deployer.serve.kinds import ENCODER, ROUTES, TRANSLATOR, WHISPER, check_kind
from deployer.serve.metrics import Metrics
from deployer.serve.oneshot import Batches, Job
from deployer.serve.web import answer_error, error_handlers, model_list


class SingleModel(Protocol):
    """What a kind brings: `run` computes payloads of one key in a batch thread. Made with a Config, which loads it."""

    context: int

    @property
    def compute_type(self) -> str: ...

    def run(self, payloads: list[Any], key: Hashable) -> Sequence[Any]: ...


#: Kind → (module and class of its model, route → module whose `answer` answers it). Imported when the kind is served.
_KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    ENCODER: ("encoder", "EncoderModel", {"/v1/embeddings": "embeddings"}),
    TRANSLATOR: ("translator", "TranslatorModel", {"/v1/translate": "translate", "/v1/chat/completions": "translate"}),
    WHISPER: ("whisper", "WhisperModel", {"/v1/audio/transcriptions": "audio", "/v1/audio/translations": "audio"}),
}
Answer = Callable[["SingleService", Request], Awaitable[Response]]


class SingleService:
    """States: loading → ready → draining. `busy` counts requests that were let in and whose answer is not complete."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = Metrics(config.model_names[0])
        self.state = "loading"
        self.busy = 0
        self.model: SingleModel | None = None
        self._batches: Batches | None = None

    def load(self, on_broken: Callable[[BaseException], None]) -> SingleModel:
        """Raises ConfigError, or whatever the engine raises."""
        config = self.config
        module, name, _ = _KINDS[config.kind]
        check_kind(config.model_dir, config.kind)
        model: SingleModel = getattr(import_module(f"deployer.serve.{module}"), name)(config)
        self.start(model, on_broken)
        return model

    def start(self, model: SingleModel, on_broken: Callable[[BaseException], None]) -> None:
        """The model is loaded: requests may come."""
        config = self.config
        self.metrics.info = {"kind": config.kind, "compute_type": model.compute_type, "device": config.device}
        self._batches = Batches(
            model.run,
            self.metrics,
            max_batch_size=config.max_batch_size,
            max_wait_ms=config.max_wait_ms,
            max_queue=config.max_queue,
            threads=config.inter_threads * len(config.device_index),
            on_broken=on_broken,
        )
        self.model = model
        if self.state == "loading":
            self.state = "ready"

    def admit(self) -> SingleModel:
        """Raises ApiError 503 while the model loads or the server drains."""
        if self.state != "ready" or self.model is None:
            self.metrics.count("admission_rejections", label=self.state)
            raise ApiError(503, f"The server is {self.state}.", kind="service_unavailable", code=self.state, retry_after_s=1)
        return self.model

    def submit(self, job: Job) -> None:
        """Raises ApiError 429 when too many wait."""
        if self._batches is None:
            raise RuntimeError("submit before start")
        self._batches.submit(job)

    def abort(self, message: str) -> None:
        if self._batches is not None:
            self._batches.abort(message)

    def gauges(self) -> dict[str, float]:
        batches = self._batches
        waiting, running = (batches.waiting, batches.running) if batches else (0, 0)
        return {"num_requests_running": running, "num_requests_waiting": waiting}


def build_single_app(service: SingleService, journal: Journal) -> Starlette:
    """The application over a service that may still be loading."""
    created = int(time.time())

    async def health(_: Request) -> Response:
        return JSONResponse({"status": service.state}, 200 if service.state == "ready" else 503)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(service.metrics.render(service.gauges()), media_type="text/plain; version=0.0.4")

    async def models(_: Request) -> Response:
        model = service.admit()
        return JSONResponse(model_list(service.config, model.context, model.compute_type, created))

    _, _, handlers = _KINDS[service.config.kind]
    routes = [Route("/health", health), Route("/metrics", metrics), Route("/v1/models", models)]
    routes += [
        Route(path, _journaled(service, journal, import_module(f"deployer.serve.{module}").answer), methods=["POST"])
        for path, module in handlers.items()
    ]
    assert set(handlers) == set(ROUTES[service.config.kind])
    return Starlette(routes=routes, exception_handlers=error_handlers(service.config.kind))


def _journaled(service: SingleService, journal: Journal, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        entry = journal.open(request.url.path)
        service.busy += 1
        try:
            return await answer(service, request)
        except ApiError as error:
            entry.status = error.status
            entry.error = error.code or error.param or error.kind
            return answer_error(error)
        except ClientDisconnect:
            entry.status = 499
            return Response(status_code=499)
        except Exception:
            entry.status = 500
            raise
        finally:
            service.busy -= 1
            entry.close()

    return handle
