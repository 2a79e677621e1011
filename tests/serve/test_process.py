"""The process: how it starts, what it says when it cannot, how it drains and ends."""

import http.client
import json
import signal
import socket
import struct
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.lab.load import load
from tests.serve.conftest import Process, Start

_LONG = {"prompt": "Once upon a time", "temperature": 0, "max_tokens": 900, "ignore_eos": True, "stream": True}


def _post(url: str, body: dict[str, Any]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("POST", "/v1/completions", json.dumps(body), {"Connection": "close"})  # the response then owns the socket
    return connection.getresponse()


def _health(url: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", "/health")
    status = connection.getresponse().status
    connection.close()
    return status


def _finished(response: http.client.HTTPResponse) -> str:
    with response:
        return response.read().decode()


class Held:
    """A request that the server has begun to read and that stays open until `complete`."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        self._body = json.dumps(body).encode()
        self._socket = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 30)
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(self._body)}\r\n"
        self._socket.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert self._socket.recv(100).startswith(b"HTTP/1.1 100")  # said when the application asks for the body

    def complete(self) -> str:
        self._socket.sendall(self._body)
        received = b""
        while piece := self._socket.recv(65536):
            received += piece
        self.close()
        return received.decode()

    def close(self) -> None:
        self._socket.close()


def test_a_signal_lets_the_running_answer_end_and_refuses_new_ones(start: Start) -> None:
    server = start()
    url = server.url
    held = Held(url, {**_LONG, "max_tokens": 30})
    server.child.send_signal(signal.SIGTERM)
    server.line("serve: draining: 1 requests")
    assert _health(url) == 503
    with _post(url, _LONG) as refused:
        assert (refused.status, refused.getheader("Retry-After")) == (503, "1")
    text = held.complete()
    assert text.startswith("HTTP/1.1 200")
    assert '"finish_reason":"length"' in text
    assert "data: [DONE]" in text
    assert server.wait() == 0
    assert "serve: stopped" in server.lines


def test_under_load_a_signal_cuts_no_answer_that_has_begun(start: Start) -> None:
    server = start()
    with load(f"{server.url}/v1", model="tiny", clients=8, first=16, max_tokens=20, stream_tokens=100) as clients:
        before = clients.now
        server.child.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    draining = "status 503: The server is draining."
    begun = {failure.why for failure in clients.result.failures if failure.began < before}
    assert begun <= {draining}  # on its way when the signal came
    assert draining in {failure.why for failure in clients.result.failures}


def test_an_answer_that_takes_longer_than_the_time_to_drain_is_cut_and_told_so(start: Start) -> None:
    server = start(shutdown_timeout_s=0, max_batch_size=1)
    first = _post(server.url, _LONG)
    assert first.readline().startswith(b"data: ")
    behind = [_post(server.url, _LONG) for _ in range(3)]  # one after another: the last has far to go
    server.child.send_signal(signal.SIGINT)
    assert "shutting down" in _finished(behind[-1])
    assert server.wait() == 0
    server.line("serve: cutting")
    for response in (first, *behind):
        response.close()


def test_a_second_signal_does_not_wait(start: Start) -> None:
    server = start()
    held = Held(server.url, _LONG)
    server.child.send_signal(signal.SIGTERM)
    server.line("serve: draining: 1 requests")
    server.child.send_signal(signal.SIGTERM)
    server.line("serve: stopping now")
    assert server.wait() == 0
    held.close()


def test_a_client_that_closes_its_connection_frees_the_engine(start: Start) -> None:
    server = start()
    running = _post(server.url, {**_LONG, "max_tokens": 1000})
    assert running.readline().startswith(b"data: ")
    running.close()
    entry = json.loads(server.line('"event": "request"'))
    assert entry["finish_reason"] == "abort"
    assert entry["completion_tokens"] < 1000


def test_clients_that_vanish_in_the_middle_of_their_streams_leave_one_line_each_and_no_noise(start: Start) -> None:
    server = start(max_batch_size=64)
    streams = [_post(server.url, {**_LONG, "n": 16}) for _ in range(8)]
    for stream in streams:
        assert stream.readline().startswith(b"data: ")
        taken = stream.fp.raw._sock  # type: ignore[attr-defined]
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as of one whose host goes down
        stream.close()
    ends = [json.loads(server.line('"event": "request"', number)) for number in range(len(streams))]
    assert {end["finish_reason"] for end in ends} == {"abort"}
    assert _health(server.url) == 200
    assert [line for line in server.lines if not line.startswith(("serve: ", "{"))] == []


def test_an_idle_server_ends_at_once(start: Start) -> None:
    server = start()
    assert _health(server.url) == 200
    server.child.send_signal(signal.SIGTERM)
    assert server.wait() == 0


def test_a_port_that_is_taken_is_named(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = start(port=port)
        assert server.wait() == 1
    server.line(f"serve: error: cannot listen on 127.0.0.1 port {port}: Address already in use")


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ({"model_dir": "/nowhere"}, 2, "no tokenizer.json in the model directory"),
        (
            {"compute_type": "int4"},
            2,
            "Requested int4 compute type, but the target device or backend do not support it; this cpu can: ",
        ),
        ({"sampling": {"min_p": 0.5}}, 2, "sampling.min_p: not supported"),
        ({"max_model_length": 5}, 2, "unknown key 'max_model_length'"),
    ],
)
def test_what_cannot_be_served_ends_the_start_with_a_reason(start: Start, settings: dict[str, Any], code: int, says: str) -> None:
    server = start(**settings)
    assert server.wait() == code
    assert says in server.line("serve: error:")


def test_weights_that_are_broken_end_the_start_with_the_engines_words(start: Start, model_dir: Path, tmp_path: Path) -> None:
    for file in model_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 1000 if file.name == "model.bin" else None])
    server = start(model_dir=str(tmp_path))
    assert server.wait() == 1
    assert "the model cannot be loaded" in server.line("serve: error:")


def test_the_defaults_of_the_configuration_are_what_a_silent_request_gets(start: Start, references: list[dict[str, Any]]) -> None:
    reference = next(r for r in references if "prompt" in r and r["finish_reason"] == "length")
    server = start(sampling={"temperature": 0, "max_tokens": reference["max_tokens"], "stop": [reference["text"][20:25]]})
    answer = json.loads(_finished(_post(server.url, {"prompt": reference["prompt"]})))
    assert answer["choices"][0]["text"] == reference["text"][: reference["text"].index(reference["text"][20:25])]


def test_many_at_once_all_get_their_answer(start: Start, references: list[dict[str, Any]]) -> None:
    server = start(max_batch_size=4, inter_threads=2, log_requests=False)
    wanted = [r for r in references if "prompt" in r]
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        reference = wanted[number % len(wanted)]
        body = {"prompt": reference["prompt"], "temperature": 0, "max_tokens": reference["max_tokens"]}
        answers[number] = json.loads(_finished(_post(server.url, body)))["choices"][0]["text"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {n: wanted[n % len(wanted)]["text"].rstrip("\ufffd") for n in range(24)}
    assert not any('"event"' in line for line in server.lines)


def test_it_says_how_far_it_is(server: Process) -> None:
    assert "compute type float32" in server.line("serve: loading model ")
    assert server.line("serve: ready").startswith("serve: ready after ")
