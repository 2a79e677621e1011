"""An answer that is streamed: what can go wrong on the way, said by what it is."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deployer.app.streaming import Answer, KeyRefused
from deployer.errors import DeployerError

PIECE = b'data: {"choices": [{"text": "one "}]}\n\n'
END = b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\ndata: [DONE]\n\n'


class Scripted(BaseHTTPRequestHandler):
    """Says `status` and `body`, then waits for `held` to be let go."""

    status = 200
    body = b""
    held = threading.Event()

    def do_POST(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)
        self.held.wait(20)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Scripted.status, Scripted.body = 200, b""
    Scripted.held.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        Scripted.held.set()
        found.shutdown()


def answer(server: ThreadingHTTPServer) -> Answer:
    url = f"http://127.0.0.1:{server.server_port}/chat/v1/completions"
    return Answer(url, {"prompt": "x"}, key=None, timeout_s=20, refused="deployer status chat")


def test_pieces_come_and_it_says_why_it_ended(server: ThreadingHTTPServer) -> None:
    Scripted.body = b": a comment\n\n" + PIECE + PIECE + END
    found = answer(server)
    assert list(found) == ["one ", "one "]
    assert found.finish == "length"


def test_an_answer_that_breaks_off_is_no_answer(server: ThreadingHTTPServer) -> None:
    Scripted.body = PIECE
    found = answer(server)
    assert next(found) == "one "
    with pytest.raises(DeployerError, match="broke off before its end"):
        next(found)


def test_an_error_in_the_middle_is_the_engines_own(server: ThreadingHTTPServer) -> None:
    Scripted.body = PIECE + b'data: {"error": {"message": "[/INST] went wrong"}}\n\n'
    with pytest.raises(DeployerError, match=r"the engine stopped: \[/INST\] went wrong"):
        list(answer(server))


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"error": {"message": "no chat template"}}', "answered 400: no chat template"),
        (503, b"<html>", "answered 503"),
        (200, b"data: {not json\n\n", "did not answer"),
    ],
)
def test_a_refusal_says_what_the_endpoint_said(server: ThreadingHTTPServer, status: int, body: bytes, said: str) -> None:
    Scripted.status, Scripted.body = status, body
    with pytest.raises(DeployerError, match=said):
        list(answer(server))


def test_a_key_that_is_refused_is_an_error_of_its_own(server: ThreadingHTTPServer) -> None:
    Scripted.status = 401
    with pytest.raises(KeyRefused):
        list(answer(server))


def test_nobody_there_says_what_to_do(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DeployerError, match="did not answer") as caught:
        list(answer(server))
    assert caught.value.hint == "deployer status chat"


def test_closing_ends_a_reader_that_waits_at_once(server: ThreadingHTTPServer) -> None:
    Scripted.body = PIECE
    Scripted.held.clear()
    found = answer(server)
    assert next(found) == "one "
    threading.Timer(0.05, found.close).start()
    began = time.monotonic()
    assert list(found) == []
    assert time.monotonic() - began < 10, "it waited for the server"
    assert list(found) == []


def test_one_that_was_closed_before_it_began_asks_nobody(server: ThreadingHTTPServer) -> None:
    Scripted.status = 500
    found = answer(server)
    found.close()
    assert list(found) == []
