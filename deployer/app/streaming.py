"""An answer of an endpoint as it is made: server-sent events over plain http.client, so that it can be broken off at once
from another thread. Used by Deployment.stream.
"""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from deployer.errors import DeployerError

#: The longest part of an error's text that is shown.
LONGEST = 300


class KeyRefused(DeployerError):
    """The endpoint wants another key, or one at all."""


class Answer(Iterator[str]):
    """Pieces of text as they come. `close`, from any thread, breaks it off, and the engine stops. `tokens`: how many were
    made, once the endpoint has said so. `finish`: why it ended ("stop", "length"), None while it goes on.
    """

    def __init__(self, url: str, body: Mapping[str, Any], *, key: str | None, timeout_s: float, refused: str) -> None:
        """`refused`: what to do when nothing listens there. Nothing is sent before the first piece is asked for."""
        self.tokens: int | None = None
        self.finish: str | None = None
        self._url, self._refused = url, refused
        self._body = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        self._path = parts.path
        self._pieces: Iterator[str] | None = None
        self._guard = threading.Lock()
        self._closed = False
        self._sock: socket.socket | None = None

    def __next__(self) -> str:
        if self._pieces is None:
            self._pieces = self._read()
        try:
            return next(self._pieces)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # http.client fails in these ways, too, when its socket is taken away
            if self._closed:
                raise StopIteration from None
            self.close()
            raise DeployerError(f"the endpoint did not answer: {error}", where=self._url, hint=self._refused) from None

    def close(self) -> None:
        with self._guard:
            self._closed = True
            sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):  # it is gone already
                sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _read(self) -> Iterator[str]:
        self._connection.connect()
        with self._guard:
            self._sock = self._connection.sock  # http.client forgets it once the answer has begun
            closed = self._closed
        if closed:
            self._connection.close()
            return
        self._connection.request("POST", self._path, self._body, self._headers)
        with contextlib.closing(self._connection), self._connection.getresponse() as response:
            if response.status != http.client.OK:
                raise self._no(response.status, response.read(1 << 16))
            yield from self._events(response)
        if self.finish is None and not self._closed:
            what = "the answer broke off before its end"
            raise DeployerError(what, where=self._url, hint="its log says why: deployer logs NAME")

    def _events(self, response: http.client.HTTPResponse) -> Iterator[str]:
        while line := response.readline():
            data = line[5:].strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                return
            piece = self._piece(json.loads(data)) if data else ""
            if piece:
                yield piece

    def _piece(self, event: Mapping[str, Any]) -> str:
        if "error" in event:
            raise DeployerError(
                f"the engine stopped: {_said(event)}", where=self._url, hint="its log says why: deployer logs NAME"
            )
        usage = event.get("usage")
        if usage:
            self.tokens = int(usage.get("completion_tokens") or 0)
        text = ""
        for choice in event.get("choices", ()):
            self.finish = choice.get("finish_reason") or self.finish
            text += str((choice.get("delta") or {}).get("content") or choice.get("text") or "")
        return text

    def _no(self, status: int, body: bytes) -> DeployerError:
        try:
            said = _said(json.loads(body))
        except ValueError:
            said = ""
        what = f"the endpoint answered {status}{f': {said}' if said else ''}"
        kind = KeyRefused if status in (401, 403) else DeployerError
        return kind(what, where=self._url, hint=why(status))


def _said(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    found = error.get("message") if isinstance(error, dict) else error
    return str(found or "")[:LONGEST]


def why(status: int) -> str:
    """What to do about an endpoint's refusal."""
    if status in (401, 403):
        return "the key is missing or not one of endpoint.keys"
    return "deployer status says why" if status >= 500 else "deployer logs NAME"
