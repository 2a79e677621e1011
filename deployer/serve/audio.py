"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a form as OpenAI's client sends it, or JSON with the file as a
data URL. What is longer than 30 seconds is heard window by window, each from where the one before ended.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deployer.serve.body import check_model_name, parse_body
from deployer.serve.errors import bad
from deployer.serve.mel import WINDOW_S
from deployer.serve.oneshot import Job, Task
from deployer.serve.segments import FORMS, Segment, cut
from deployer.serve.single import SingleService
from deployer.serve.wav import RATE, decode
from deployer.serve.web import read_body, unless_gone
from deployer.serve.whisper import DETECT, Heard, Options, WhisperModel

_FIELDS = frozenset(
    ("file", "model", "language", "prompt", "response_format", "temperature", "timestamp_granularities[]", "max_tokens", "user")
)
_NEUTRAL = {"stream": ("false", False), "chunking_strategy": ("auto",), "timestamp_granularities": (["segment"],)}
_FORMATS = ("json", "text", "verbose_json", *FORMS)
_SHORTEST_S = 1.0  # a window that went on by less is not heard again


@dataclass(frozen=True)
class _Asked:
    """A request that can be answered. `language` None: to be found out."""

    model: str
    samples: Any
    translate: bool
    language: str | None
    prompt: list[int]
    form: str
    temperature: float
    most: int | None


async def answer(service: SingleService, request: Request) -> Response:
    model = service.admit()
    assert isinstance(model, WhisperModel)
    raw = await read_body(request, service.config.max_body_bytes)
    fields = await _fields(request, raw)
    name = check_model_name(fields, service.config.model_names)
    translate = request.url.path.endswith("/translations")
    asked = await run_in_threadpool(_read, fields, name, translate, model)
    language = asked.language or await _language(service, request, model, asked)
    segments = await _hear(service, request, model, asked, language)
    return _shaped(asked, segments, language)


async def _hear(service: SingleService, request: Request, model: WhisperModel, asked: _Asked, language: str) -> list[Segment]:
    timed = asked.form in ("verbose_json", *FORMS) or len(asked.samples) > WINDOW_S * RATE
    prompt = _prompt(model, asked, language, timed)
    length = model.context if asked.most is None else min(model.context, len(prompt) + asked.most)
    options = Options(asked.temperature, length, len(prompt))
    found: list[Segment] = []
    at, whole = 0.0, len(asked.samples) / RATE
    while at < whole or not at:
        window = asked.samples[round(at * RATE) :][: WINDOW_S * RATE]
        features = await run_in_threadpool(model.features, window)
        heard: Heard = await _ask(service, request, Task((features, prompt), len(prompt), options))
        span = len(window) / RATE
        parts, end = cut(heard.ids, model.first_time, span)
        for begin, stop, ids in parts:
            text = model.text(ids)
            if text.strip():
                found.append(Segment(at + begin, at + stop, text, tuple(ids), heard.score, heard.no_speech, at))
        service.metrics.count("generation_tokens", len(heard.ids))
        at += end if end >= min(_SHORTEST_S, span) and end > 0 else max(span, 0.01)
    return found


async def _ask(service: SingleService, request: Request, task: Task) -> Any:
    job = Job([task])
    service.submit(job)
    try:
        return (await unless_gone(request, job.answer))[0]
    finally:
        job.cancel()


async def _language(service: SingleService, request: Request, model: WhisperModel, asked: _Asked) -> str:
    if not model.multilingual:
        return "en"
    features = await run_in_threadpool(model.features, asked.samples[: WINDOW_S * RATE])
    return str(await _ask(service, request, Task(features, 1, DETECT))).strip("<|>")


def _prompt(model: WhisperModel, asked: _Asked, language: str, timed: bool) -> list[int]:
    before = model.tokenizer.token_to_id("<|startofprev|>")
    found = [before, *asked.prompt, model.begin] if asked.prompt and before is not None else [model.begin]
    if model.multilingual:
        token = model.language(language)
        found += [token] if token is not None else []
        found.append(model.translate if asked.translate else model.transcribe)
    return found if timed else [*found, model.plain]


async def _fields(request: Request, raw: bytes) -> dict[str, Any]:
    """The fields by name; `file` as bytes."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        fields = parse_body(raw)
        if fields.get("file") is not None:
            fields["file"] = _from_url(fields["file"])
        return fields

    async def stream() -> AsyncGenerator[bytes, None]:
        yield raw

    try:
        form = await MultiPartParser(request.headers, stream(), max_files=1, max_fields=32).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise bad("file", f"the form cannot be read: {getattr(error, 'message', error)}") from None
    found: dict[str, Any] = {}
    for name, value in form.multi_items():
        found[name] = await value.read() if isinstance(value, UploadFile) else value
    await form.close()
    return found


def _from_url(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("data:") or ";base64," not in value[:100]:
        raise bad("file", "in JSON it is a data URL: data:audio/wav;base64,…")
    try:
        return base64.b64decode(value.split(",", 1)[1], validate=True)
    except (binascii.Error, ValueError):
        raise bad("file", "its base64 cannot be read") from None


def _read(fields: Mapping[str, Any], name: str, translate: bool, model: WhisperModel) -> _Asked:
    """Raises ApiError that names the field."""
    for field, value in fields.items():
        known = field in _FIELDS and not (translate and field in ("language", "timestamp_granularities[]"))
        if not known and value not in (None, *_NEUTRAL.get(field, ())):
            raise bad(field, "unknown, or not supported by this engine")
    if fields.get("timestamp_granularities[]") not in (None, "segment"):
        raise bad("timestamp_granularities[]", "segment is what this server knows; times of words are not supported")
    form = fields.get("response_format") or "json"
    if form not in _FORMATS:
        raise bad("response_format", f"one of {', '.join(_FORMATS)} is wanted")
    if not isinstance(fields.get("file"), bytes):
        raise bad("file", "a WAV file is wanted")
    if translate and not model.multilingual:
        raise bad("model", "this model knows English only, and cannot translate")
    temperature = _number("temperature", fields.get("temperature"), 0.0, 0.0, 1.0)
    most = fields.get("max_tokens")
    return _Asked(
        model=name,
        samples=np.ascontiguousarray(decode(fields["file"])),
        translate=translate,
        language=_known(fields.get("language"), model),
        prompt=_previous(fields.get("prompt"), model),
        form=str(form),
        temperature=temperature,
        most=None if most is None else int(_number("max_tokens", most, 0, 1, 10_000)),
    )


def _known(value: Any, model: WhisperModel) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or (model.multilingual and model.language(value) is None):
        raise bad("language", f"{str(value)[:20]!r} is no language of this model; two letters are wanted, such as de")
    if not model.multilingual and value != "en":
        raise bad("language", "this model knows English only")
    return value


def _previous(value: Any, model: WhisperModel) -> list[int]:
    """What was said before, as the model was trained to see it: no more than half of its window."""
    if value in (None, ""):
        return []
    if not isinstance(value, str):
        raise bad("prompt", "a text is wanted")
    if model.tokenizer.token_to_id("<|startofprev|>") is None:
        raise bad("prompt", "this model takes none")
    ids: list[int] = model.tokenizer.encode(" " + value.strip(), add_special_tokens=False).ids
    return [number for number in ids if number < model.end][-(model.context // 2 - 1) :]


def _number(name: str, value: Any, default: float, least: float, most: float) -> float:
    if value in (None, ""):
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not least <= number <= most:
        raise bad(name, f"a number from {least:g} to {most:g} is wanted")
    return number


def _ratio(text: str) -> float:
    """Text that repeats itself compresses well: above 2.4 Whisper's authors take it for a failure."""
    raw = text.encode("utf-8", "replace")
    return round(len(raw) / len(zlib.compress(raw)), 2)


def _shaped(asked: _Asked, segments: list[Segment], language: str) -> Response:
    text = "".join(one.text for one in segments).strip()
    if asked.form == "text":
        return PlainTextResponse(text + "\n")
    if asked.form in FORMS:
        kind, write = FORMS[asked.form]
        return PlainTextResponse(write(segments), media_type=kind)
    duration = len(asked.samples) / RATE
    usage = {"type": "duration", "seconds": math.ceil(duration)}
    if asked.form == "json":
        return JSONResponse({"text": text, "usage": usage})
    listed = [
        {
            "id": number, "seek": round(one.seek * 100), "start": round(one.begin, 2), "end": round(one.end, 2), "text": one.text,
            "tokens": list(one.tokens), "temperature": asked.temperature, "avg_logprob": one.score,
            "compression_ratio": _ratio(one.text), "no_speech_prob": one.no_speech,
        }
        for number, one in enumerate(segments)
    ]  # fmt: skip
    task = "translate" if asked.translate else "transcribe"
    whole = {"task": task, "language": language, "duration": round(duration, 2), "text": text, "segments": listed, "usage": usage}
    return JSONResponse(whole)
