"""The real process in front of a stub engine, over loopback."""

import hashlib
import http.client
import json
import signal
import socket
import time

import pytest

from deployer.handler import run as handler_run
from deployer.handler.config import Config as HandlerConfig
from deployer.serve import run as serve_run
from deployer.serve.config import Config as ServeConfig
from tests.handler.process import Handler, content, events


def test_what_passes_is_the_same_on_both_sides(plain):
    body = b"\x00\xff" * 3_000_000
    status, headers, answer = plain.ask(
        "POST", "/echo?status=418&a=%2Fb%20c", body, {"X-Own": "1", "Connection": "x-own-hop, close"}
    )
    told = json.loads(answer)
    assert status == 418
    assert told["path"] == "/echo?status=418&a=%2Fb%20c"
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    assert told["headers"]["Content-Length"] == str(len(body))
    assert told["headers"]["X-Own"] == "1"
    assert "x-own-hop" not in told["headers"].get("Connection", "")


def test_a_body_in_chunks_passes(plain):
    status, _, answer = plain.ask("POST", "/echo", iter([b"ab", b"c" * 100_000]))
    assert (status, json.loads(answer)["size"]) == (200, 100_002)


def test_a_stream_comes_as_it_is_made(plain):
    connection, answer = plain.open_stream("one WAIT two")
    first = answer.read1(65536)  # the engine waits: nothing more can have come
    assert b"one" in first
    assert b"two" not in first
    plain.ask("POST", "/release", b"")
    rest = answer.read()
    connection.close()
    assert content(events(first + rest)) == "one WAIT two"


def test_a_client_that_goes_ends_the_engines_work(plain):
    before = json.loads(plain.ask("GET", "/about")[2])["cancelled"]
    connection, answer = plain.open_stream("one WAIT two")
    answer.read1(65536)
    answer.close()
    connection.close()
    until = time.monotonic() + 10
    while json.loads(plain.ask("GET", "/about")[2])["cancelled"] == before:
        assert time.monotonic() < until, "the engine was not told"


def test_metrics_are_the_engines_and_ours(plain):
    plain.chat("hello")
    status, _, text = plain.ask("GET", "/metrics")
    assert status == 200
    assert text.startswith(b"engine_figure 1\n# HELP deployer_handler_requests_total")
    assert b'deployer_handler_requests_total{status="200"}' in text


def test_the_engine_does_not_get_the_scripts_environment(transformed):
    found = json.loads(transformed.ask("GET", "/about")[2])["environment"]
    assert found["ENGINES_OWN"] == "1"
    assert not {"MOOD", "REVISION"} & set(found)


def test_sigterm_lets_a_stream_end_and_then_the_engine(tmp_path):
    handler = Handler(tmp_path).wait_ready()
    connection, answer = handler.open_stream("one WAIT two")
    other = http.client.HTTPConnection("127.0.0.1", handler.port, timeout=20)
    other.request("GET", "/health")
    assert other.getresponse().read()
    first = answer.read1(65536)
    handler.process.send_signal(signal.SIGTERM)
    handler.wait_line("draining: 1 requests")
    with pytest.raises(ConnectionRefusedError):
        handler.ask("GET", "/health")
    other.request("POST", "/v1/chat/completions", b"{}", {"Content-Type": "application/json"})  # a connection from before
    refused = other.getresponse()
    assert refused.status == 503
    other.close()
    assert not any("SIGINT" in line for line in handler.lines)
    engine = http.client.HTTPConnection("127.0.0.2", handler.port, timeout=20)
    engine.request("POST", "/release")
    assert engine.getresponse().status == 200
    engine.close()
    assert content(events(first + answer.read())) == "one WAIT two"
    connection.close()
    handler.process.wait(20)
    assert handler.end() == 0
    assert handler.wait_line("stub: got SIGINT")


def test_it_ends_as_the_engine_ends_and_breaks_off_its_streams(tmp_path):
    handler = Handler(tmp_path).wait_ready()
    connection, answer = handler.open_stream("one WAIT two")
    answer.read1(65536)
    handler.ask("POST", "/die?code=7", b"")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    handler.process.wait(20)
    assert handler.end() == 7
    connection.close()


def test_a_script_that_cannot_load_ends_the_start_with_its_line(tmp_path):
    (tmp_path / "t.py").write_text("class Transformer:\n    def load(self):\n        import does_not_exist\n")
    handler = Handler(tmp_path, transformer="t.py")
    handler.process.wait(20)
    assert handler.end() == 1
    said = handler.wait_line("handler: error: ")
    assert said.startswith(
        "handler: error: transformer: t.py, line 3, in load: ModuleNotFoundError: No module named 'does_not_ex"
    )
    assert any("import does_not_exist" in line for line in handler.lines)
    assert not any("deployer/handler" in line for line in handler.lines)


def test_answers_are_not_held_back_by_nagle():
    """asyncio turns Nagle off only for sockets that name TCP; headers and body of an answer would else be 40 ms apart."""
    for module, config in (
        (handler_run, HandlerConfig("chat", 0)),
        (serve_run, ServeConfig(model_dir="", model_names=(), port=0)),
    ):
        with module._listen(config) as listener:
            assert listener.proto == socket.IPPROTO_TCP, module
