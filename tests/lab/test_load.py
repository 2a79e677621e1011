"""The load generator itself, against small servers that answer, cut, refuse and stall. Needs no lab host."""

import http.server
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lab.load import Failure, Result, Success, load, main

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.numbers)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked = json.loads(self.rfile.read(length))
        self.server.seen.append((self.number, self.asked))
        self.server.behave(self)

    def log_message(self, *_: object) -> None:
        pass

    def stream(self, *events: bytes, end: bool = True) -> None:
        """Events in pieces that are not the events: a reader must put them together."""
        text = b"".join(events)
        pieces = [text[at : at + 25] for at in range(0, len(text), 25)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        self.wfile.write(STREAM_HEAD + chunks + (b"0\r\n\r\n" if end else b""))
        self.close_connection = self.close_connection or not end

    def whole(self, body: bytes = WHOLE, status: int = 200, said: int | None = None) -> None:
        length = len(body) if said is None else said
        self.wfile.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, length, body))
        self.close_connection = self.close_connection or said is not None

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.rfile.close()

    def answer(self) -> None:
        if self.asked.get("stream"):
            self.stream(PIECE, PIECE, FINISH, DONE)
        else:
            self.whole()


class Server(http.server.ThreadingHTTPServer):
    """`behave` answers a request that was read; a test may set another while clients ask."""

    daemon_threads = True

    def __init__(self, behave: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.numbers = itertools.count()
        self.seen: list[tuple[int, dict[str, object]]] = []  # (number of the connection, what was asked)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/chat/v1"

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news here."""


@contextmanager
def server(behave: Callable[[Handler], None] = Handler.answer) -> Iterator[Server]:
    made = Server(behave)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def once(bad: Callable[[Handler], None], stream: bool, begun: threading.Event) -> Callable[[Handler], None]:
    """The tenth request of its kind is answered badly, all others well. `begun`: it came."""
    count = iter(range(10**9))

    def behave(handler: Handler) -> None:
        if bool(handler.asked.get("stream")) == stream and next(count) == 9:
            begun.set()
            bad(handler)
        else:
            handler.answer()

    return behave


def test_every_answer_that_is_complete_is_a_success() -> None:
    with server() as served, load(served.url, clients=4, first=200) as running:
        pass
    result = running.result
    assert result.failed == 0
    assert result.total == len(served.seen) >= 200
    assert {one.kind for one in result.successes} == {
        f"{what}, {how} connection" for what in ("whole", "stream") for how in ("kept", "fresh")
    }
    assert 0 < result.latency(0.5) <= result.latency(0.99) < 5
    assert sum(good for good, _ in result.per_second) == result.total


def test_half_of_the_clients_keep_their_connection_and_half_open_one_per_request() -> None:
    with server() as served, load(served.url, clients=4, first=300) as running:
        pass
    whole = [number for number, asked in served.seen if not asked.get("stream")]
    kept = max(set(whole), key=whole.count)
    fresh = [number for number in whole if number != kept]
    assert whole.count(kept) > 2
    assert len(set(fresh)) == len(fresh) > 2
    assert running.result.failed == 0


@pytest.mark.parametrize(
    ("bad", "stream", "why"),
    [
        (lambda h: h.stream(PIECE, end=False), True, "the stream was cut before its finish"),
        (lambda h: h.stream(PIECE, FINISH, end=False), True, "the stream was cut after its finish, before [DONE]"),
        (lambda h: h.stream(PIECE, DONE), True, "the stream ended without a finish reason"),
        (lambda h: h.stream(PIECE, FINISH), True, "the stream ended without [DONE]"),
        (lambda h: h.stream(b'data: {"error":{"message":"gone"}}\n\n', DONE), True, "an error in the stream: gone"),
        (lambda h: h.stream(b"data: oops\n\n", DONE), True, "an event that is no JSON"),
        (lambda h: h.whole(), True, "not a stream of events"),
        (lambda h: h.whole(WHOLE[:20], said=len(WHOLE)), False, "the answer was cut"),
        (lambda h: h.whole(b"{}"), False, "no answer in the body: KeyError"),
        (lambda h: h.whole(WHOLE.replace(b'"stop"', b"null")), False, "no finish reason"),
        (lambda h: h.whole(b'{"error": {"message": "busy"}}', 503), False, "status 503: busy"),
        (lambda h: h.whole(b"<html>", 502), False, "status 502: <html>"),
        (lambda h: h.reset(), False, "closed before the answer, on a connection used before"),
    ],
)
def test_one_bad_answer_is_one_failure_with_its_reason(bad: Callable[[Handler], None], stream: bool, why: str) -> None:
    begun = threading.Event()
    with server(once(bad, stream, begun)) as served, load(served.url, clients=2, first=60) as running:
        assert begun.wait(30)  # one of the clients may have made nearly all of the first sixty
    assert [failure.why for failure in running.result.failures] == [why]
    assert running.result.failures[0].kind == f"{'stream' if stream else 'whole'}, kept connection"
    assert f"1 x {'stream' if stream else 'whole'}, kept connection: {why}" in str(running.result)


def test_a_cut_after_done_costs_no_client_its_answer() -> None:
    begun = threading.Event()
    late = once(lambda h: h.stream(PIECE, FINISH, DONE, end=False), True, begun)
    with server(late) as served, load(served.url, clients=2, first=60) as running:
        assert begun.wait(30)
    assert running.result.failed == 0


def test_a_kept_connection_closed_between_two_requests_is_opened_anew_as_every_client_does() -> None:
    def closing(handler: Handler) -> None:
        handler.answer()
        handler.close_connection = True

    with server(closing) as served, load(served.url, clients=1, first=30, pause_s=0.02) as running:
        pass
    assert running.result.failed == 0
    assert len({number for number, _ in served.seen}) == len(served.seen)


def test_an_answer_that_says_close_is_the_last_on_its_connection() -> None:
    def last(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE))

    with server(last) as served, load(served.url, clients=1, first=20) as running:
        pass
    assert running.result.failed == 0
    assert len({number for number, _ in served.seen}) == len(served.seen)


def test_an_answer_that_stalls_fails_when_its_time_is_over() -> None:
    free = threading.Event()
    with server(once(lambda h: free.wait(30), False, threading.Event())) as served:
        with load(served.url, clients=1, timeout_s=0.5) as running:
            running.wait_for(20)
        free.set()
    assert [failure.why for failure in running.result.failures] == ["nothing complete within 0.5 s"]


def test_the_longest_time_without_an_answer_is_the_downtime() -> None:
    with server() as served, load(served.url, clients=4, first=40) as running:
        served.behave = lambda h: h.whole(b"gone", 503)
        down = running.now
        while len(running.result.failures) < 40:
            threading.Event().wait(0.01)
        served.behave = Handler.answer
        up = running.now
        running.wait_for(40)
    begin, end = running.result.gap
    assert begin <= down + 0.5
    assert up - 0.01 <= end
    assert all(down <= failure.at for failure in running.result.failures)
    assert set(failure.why for failure in running.result.failures) == {"status 503: gone"}


def test_nobody_listens_is_a_failure_and_waiting_for_a_success_says_so() -> None:
    with server() as served:
        url = served.url
    why = r"(?s)not even 1 more.*no connection: Connection refused"
    with load(url, clients=1) as running, pytest.raises(AssertionError, match=why):
        running.wait_for(1, deadline_s=0.5)


def test_a_result_counts_by_the_clock() -> None:
    successes = (Success(0.2, 0.1, "whole"), Success(1.5, 0.3, "stream"), Success(1.7, 0.2, "whole"))
    result = Result(4.0, successes, (Failure(2.5, 2.4, "whole", "x"),), 0)
    assert result.gap == (1.7, 4.0)
    assert result.per_second == [(1, 0), (2, 0), (0, 1), (0, 0), (0, 0)]
    assert (result.latency(0.5), result.latency(0.99), result.latency(0.5, "stream")) == (0.2, 0.3, 0.3)
    assert Result(1.0, (), (), 0).longest_gap_s == 1.0


def test_by_hand_it_prints_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    with server() as served:
        assert main([served.url, "--seconds", "0.3", "--clients", "4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == 0
    assert said["total"] == sum(said["kinds"].values()) > 4
    with server(lambda h: h.whole(b"{}", 503)) as served:
        assert main([served.url, "--seconds", "0.2", "--clients", "1"]) == 1
    assert "whole, kept connection: status 503" in capsys.readouterr().out
