"""The service and the application of the kinds whose work is one call of the engine: encoder, translator, Whisper."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from importlib import import_module
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from deployer.serve.about import about
from deployer.serve.admission import Admission
from deployer.serve.config import Config
from deployer.serve.errors import ApiError
from deployer.serve.journal import Journal
from deployer.serve.kinds import ENCODER, ROUTES, TRANSLATOR, WHISPER, check_kind
from deployer.serve.oneshot import Batches, Job
from deployer.serve.web import error_handlers, refusal


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


class SingleService(Admission[SingleModel]):
    """Of a model that answers with one call."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
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
        self._batches = Batches(
            model.run,
            self.metrics,
            max_batch_size=config.max_batch_size,
            max_wait_ms=config.max_wait_ms,
            max_queue=config.max_queue,
            threads=config.inter_threads * len(config.device_index),
            on_broken=on_broken,
        )
        self.open(model, self._batches, model.compute_type)

    def submit(self, job: Job) -> None:
        """Raises ApiError 429 when too many wait."""
        if self._batches is None:
            raise RuntimeError("submit before start")
        self._batches.submit(job)


def build_single_app(service: SingleService, journal: Journal) -> Starlette:
    """The application over a service that may still be loading."""
    _, _, handlers = _KINDS[service.config.kind]
    routes = [
        Route(path, _journaled(service, journal, import_module(f"deployer.serve.{module}").answer), methods=["POST"])
        for path, module in handlers.items()
    ]
    assert set(handlers) == set(ROUTES[service.config.kind])
    return Starlette(routes=about(service) + routes, exception_handlers=error_handlers(service.config.kind))


def _journaled(service: SingleService, journal: Journal, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        entry = journal.open(request.url.path)
        service.busy += 1
        try:
            return await answer(service, request)
        except (ApiError, ClientDisconnect) as error:
            return refusal(entry, error)
        except Exception:
            entry.status = 500
            raise
        finally:
            service.busy -= 1
            entry.close()

    return handle
