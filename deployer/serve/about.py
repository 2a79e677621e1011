"""The routes on which a server of any kind of model speaks of itself: readiness, liveness, figures, its models."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deployer.serve.admission import Admission
from deployer.serve.body import check_model_name


def about(service: Admission[Any]) -> list[Route]:
    """Its model has a `context`, in tokens."""
    created = int(time.time())

    async def health(_: Request) -> Response:
        """Readiness: whether a request would be taken."""
        return JSONResponse({"status": service.state}, 200 if service.state == "ready" else 503)

    async def live(_: Request) -> Response:
        """Liveness: the process answers, whether it loads, serves or drains."""
        return JSONResponse({"status": service.state})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(service.metrics.render(service.gauges()), media_type="text/plain; version=0.0.4")

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": _models(service, created)})

    async def model(request: Request) -> Response:
        found = _models(service, created)
        name = check_model_name({"model": request.path_params["name"]}, service.config.model_names)
        return JSONResponse(next(entry for entry in found if entry["id"] == name))

    return [
        Route("/health", health),
        Route("/live", live),
        Route("/metrics", metrics),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
    ]


def _models(service: Admission[Any], created: int) -> list[dict[str, Any]]:
    """OpenAI's fields, vLLM's, and what this process really computes in. Raises ApiError 503 until the model is loaded."""
    model, config = service.admit(), service.config
    shared = {"object": "model", "created": created, "owned_by": "ctranslate2", "root": config.model_dir, "parent": None}
    own = {"max_model_len": model.context, "kind": config.kind, "compute_type": service.compute_type, "device": config.device}
    return [{"id": name, **shared, **own} for name in config.model_names]
