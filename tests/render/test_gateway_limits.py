"""What the gateway refuses, what it lets wait, and where it sends requests that belong together, asked of a real HAProxy."""

import json
import socket
import threading
import time

import pytest

from deployer.render.gateway import Limits, Server
from tests.ports import free_port
from tests.render.conftest import Answer, Engine, Gateway, listening
from tests.render.test_gateway import BEARER, KEY, route


class Asked:
    """A request that runs beside the test."""

    def __init__(self, gateway: Gateway, body: object, path: str = "/chat/v1/completions", **headers: str) -> None:
        self.answers: list[Answer] = []
        self.took = 0.0
        self.thread = threading.Thread(target=self._ask, args=(gateway, path, body, headers))
        self.thread.start()

    def _ask(self, gateway: Gateway, path: str, body: object, headers: dict[str, str]) -> None:
        began = time.monotonic()
        self.answers.append(gateway.request("POST", path, body, **headers))
        self.took = time.monotonic() - began

    def answer(self) -> Answer:
        self.thread.join()
        return self.answers[0]


def error(answer: Answer) -> dict[str, object]:
    """As OpenAI's clients read it."""
    found = answer.json["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(found["message"], str)
    return dict(found)


def test_over_the_rate_a_key_is_refused_for_a_while_and_another_key_is_not(gateway: Gateway, engine: Server) -> None:
    limits = Limits(rate=(3, 60.0))
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a", "other": "b", "ours": ":probe:h1"}, limits=limits))
    answers = [gateway.get("/chat/v1/models", **BEARER) for _ in range(5)]
    assert [a.status for a in answers] == [200, 200, 200, 429, 429]
    assert error(answers[-1])["type"] == "rate_limit_error"
    assert error(answers[-1])["code"] == "rate_limit_exceeded"
    assert answers[-1].headers["retry-after"] == "20"
    assert gateway.get("/chat/v1/models", Authorization="Bearer other").status == 200
    assert {gateway.get("/chat/v1/models", Authorization="Bearer ours").status for _ in range(6)} == {200}


def test_what_was_refused_does_not_count(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}, limits=Limits(rate=(2, 1.0))))
    served = 0
    end = time.monotonic() + 4
    while time.monotonic() < end:
        served += gateway.get("/chat/v1/models", **BEARER).status == 200
    assert 5 <= served <= 12, "a client that never pauses gets about two a second all the same"


def test_without_keys_the_rate_is_that_of_an_address(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, open=True, limits=Limits(rate=(2, 60.0))))
    assert [gateway.get("/chat/v1/models", X=str(n)).status for n in range(3)] == [200, 200, 429]


def test_a_body_that_is_too_large_or_does_not_say_how_large_is_refused(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}, limits=Limits(max_body=1000)))
    assert gateway.request("POST", "/chat/v1/completions", {"prompt": "x" * 900}, **BEARER).status == 200
    answer = gateway.request("POST", "/chat/v1/completions", {"prompt": "x" * 1000}, **BEARER)
    assert (answer.status, error(answer)["code"]) == (413, "request_too_large")
    assert "1000 bytes" in str(error(answer)["message"])
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as client:
        key = f"Authorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        client.sendall(f"POST /chat/v1/completions HTTP/1.1\r\nHost: a\r\n{key}".encode())
        assert client.makefile("rb").readline().split()[1] == b"411"


def test_a_missing_and_a_wrong_key_are_told_apart(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}))
    missing, wrong = gateway.get("/chat/v1/models"), gateway.get("/chat/v1/models", Authorization="Bearer revoked")
    assert [missing.status, wrong.status] == [401, 401]
    assert error(missing)["code"] == error(wrong)["code"] == "invalid_api_key"
    assert error(missing)["message"] != error(wrong)["message"]


def test_while_every_replica_is_busy_requests_wait_for_their_turn(gateway: Gateway) -> None:
    with listening(0) as engine:
        one = Server("s0", "127.0.0.1", engine.port, at_once=1)
        Engine.release = threading.Event()
        gateway.start(route(gateway, "chat", one, open=True, limits=Limits(queue=(2, 20.0))))
        first = Asked(gateway, {"hold": True})
        gateway.until(lambda: gateway.stat("be_chat", "s0", "scur") == 1)
        others = [Asked(gateway, {}) for _ in range(2)]
        gateway.until(lambda: gateway.stat("be_chat", "BACKEND", "qcur") == 2)
        full = gateway.request("POST", "/chat/v1/completions", {})
        assert (full.status, error(full)["code"], full.headers["retry-after"]) == (503, "queue_full", "1")
        Engine.release.set()
        assert [first.answer().status, *(o.answer().status for o in others)] == [200, 200, 200]


def test_who_waits_longer_than_the_queues_timeout_gets_a_503(gateway: Gateway) -> None:
    with listening(0) as engine:
        one = Server("s0", "127.0.0.1", engine.port, at_once=1)
        Engine.release = threading.Event()
        gateway.start(route(gateway, "chat", one, open=True, limits=Limits(queue=(2, 0.5))))
        first = Asked(gateway, {"hold": True})
        gateway.until(lambda: gateway.stat("be_chat", "s0", "scur") == 1)
        late = gateway.request("POST", "/chat/v1/completions", {})
        assert (late.status, error(late)["code"], error(late)["type"]) == (503, "replicas_down", "server_error")
        Engine.release.set()
        assert first.answer().status == 200


@pytest.mark.parametrize("noticed", [False, True])
def test_while_the_only_replica_starts_again_requests_wait_for_it(gateway: Gateway, noticed: bool) -> None:
    with listening(0) as engine:
        gateway.start(route(gateway, "chat", engine, open=True, limits=Limits(queue=(10, 20.0))))
        assert gateway.get("/chat/v1/models").status == 200
    if noticed:
        gateway.until(lambda: not gateway.is_up("be_chat", "s0"))
    waiting = [Asked(gateway, {"prompt": "x" * 100_000}) for _ in range(4)]
    gateway.until(lambda: gateway.stat("be_chat", "wait-s0", "wretr") > 3)
    assert not any(w.answers for w in waiting)
    with listening(engine.port):
        assert [w.answer().status for w in waiting] == [200] * 4
        gateway.until(lambda: gateway.is_up("be_chat", "s0"))


def test_while_no_replica_is_up_only_so_many_wait_and_only_so_long(gateway: Gateway) -> None:
    gone = Server("s0", "127.0.0.1", free_port())
    gateway.start(route(gateway, "chat", gone, open=True, limits=Limits(queue=(2, 4.0))))
    gateway.until(lambda: not gateway.is_up("be_chat", "s0"))
    waiting = [Asked(gateway, {}) for _ in range(2)]
    gateway.until(lambda: gateway.stat("be_chat", "BACKEND", "scur") == 2)
    full = gateway.request("POST", "/chat/v1/completions", {})
    assert (full.status, error(full)["code"]) == (503, "queue_full")
    assert [(w.answer().status, w.answer().code) for w in waiting] == [(503, "replicas_down")] * 2
    assert all(2 < w.took < 8 for w in waiting), "the time is about the queue's"


def test_who_waits_goes_to_whichever_replica_comes_up_first(gateway: Gateway) -> None:
    ports = sorted({free_port() for _ in range(3)})
    engines = [Server(f"s{n}", "127.0.0.1", port) for n, port in enumerate(ports)]
    gateway.start(route(gateway, "chat", *engines, open=True, limits=Limits(queue=(10, 30.0))))
    gateway.until(lambda: not any(gateway.is_up("be_chat", e.name) for e in engines))
    waiting = [Asked(gateway, {}) for _ in range(4)]
    gateway.until(lambda: gateway.stat("be_chat", "BACKEND", "scur") == 4)
    with listening(ports[0]):
        assert [w.answer().status for w in waiting] == [200] * 4


def test_a_front_waits_for_its_replica_too_when_a_gateway_elsewhere_asks(gateway: Gateway) -> None:
    port, front = free_port(), gateway.with_peers()
    server, limits = Server("s0", "127.0.0.1", port), Limits(queue=(5, 20.0), rate=(1, 60.0))
    gateway.start(route(gateway, "chat", server, open=True, fronts=(front,), peers=True, timeout_s=1.5, limits=limits))
    gateway.until(lambda: gateway.peer_get("/_replica/chat/up", front) == 503)
    waiting = Asked(gateway, {})
    gateway.until(lambda: gateway.stat("re_chat", "wait-s0", "wretr") > 2)
    with listening(port):
        assert waiting.answer().status == 200
        gateway.until(lambda: gateway.peer_get("/_replica/chat/up", front) == 200)
        assert gateway.peer_get("/_replica/chat/v1/models", front) == 200, "the rate is the gateway's to count"


class First(Engine):
    """Says which one it is."""

    def answer(self, value: object) -> None:
        super().answer({"who": self.server.server_port, "asked": value})  # type: ignore[attr-defined]


@pytest.mark.parametrize("affinity", ["session", "prefix"])
def test_requests_that_belong_together_meet_the_same_replica(gateway: Gateway, affinity: str) -> None:
    with listening(0, "s0", First) as a, listening(0, "s1", First) as b, listening(0, "s2", First) as c:
        gateway.start(route(gateway, "chat", a, b, c, open=True, affinity=affinity))

        def who(session: int, more: str) -> int:
            prompt = f"{session}" * 2000 if affinity == "prefix" else "same"
            headers = {"X-Session-Id": f"s{session}"} if affinity == "session" else {}
            gateway.until(lambda: gateway.stat("be_chat", "BACKEND", "scur") == 0)  # the one before counts no more
            return int(gateway.request("POST", "/chat/v1/completions", {"prompt": prompt + more}, **headers).json["who"])

        homes = {session: {who(session, more) for more in ("", "more", "other")} for session in range(9)}
        assert all(len(home) == 1 for home in homes.values())
        assert len(set().union(*homes.values())) > 1, "not all on one"


def test_a_replica_that_has_its_share_gets_no_more_of_a_session(gateway: Gateway) -> None:
    with listening(0, "s0", First) as a, listening(0, "s1", First) as b:
        First.release = Engine.release = threading.Event()
        gateway.start(route(gateway, "chat", a, b, open=True, affinity="session"))
        held = [Asked(gateway, {"hold": True}, X_Session_Id="one") for _ in range(8)]
        gateway.until(lambda: gateway.stat("be_chat", "BACKEND", "scur") == 8)
        Engine.release.set()
        assert len({json.dumps(h.answer().json["who"]) for h in held}) == 2


class Draining(Engine):
    """Healthy for the checks, and refuses whatever it is asked: an engine that stops, before the checks have seen it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()


def test_what_a_replica_refuses_while_it_stops_goes_to_another(gateway: Gateway, engine: Server) -> None:
    with listening(free_port(), "s1", Draining) as draining:
        gateway.start(route(gateway, "chat", draining, engine, open=True))
        assert {gateway.request("POST", "/chat/v1/completions", {"n": n}).status for n in range(12)} == {200}
        gateway.write(route(gateway, "chat", draining, open=True))
        gateway.reload()
        gateway.until(lambda: gateway.request("POST", "/chat/v1/completions", {}).status == 503)
