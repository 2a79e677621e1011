"""`reach` and the asking itself, against a real server and a real proxy on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest

from deployer.agent import reach as agent_reach
from deployer.agent.main import serve
from deployer.agent.outside import head
from deployer.agent.system import System
from deployer.agent.talk import Talk

FLEET = {"id": "0123abcd", "name": "acme"}


class Server(BaseHTTPRequestHandler):
    """/ok, /moved to /ok, /gated for who has the token, /getonly that knows no HEAD; as a proxy it answers for every host."""

    seen: list[tuple[str, str | None]] = []

    def do_HEAD(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        path = self.path.rpartition("/")[2]
        status = {
            "ok": 200,
            "moved": 302,
            "getonly": 405,
            "gated": 200 if self.headers.get("Authorization") == "Bearer t0ken" else 401,
        }.get(path, 404)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/gated")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Server.seen = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def reach(system: System, *ways: dict[str, Any], **more: Any) -> dict[str, tuple[str, int | None, str]]:
    asked = json.dumps({"fleet": FLEET, "ways": list(ways), "timeout_s": 3, **more}).encode() + b"\n"
    out = BytesIO()
    assert serve(system, "reach", Talk(BytesIO(asked), out)) == 0
    [said, end] = [json.loads(line) for line in out.getvalue().splitlines()]
    assert end["type"] == "end"
    return {way["id"]: (way["state"], way["status"], way["message"]) for way in said["ways"]}


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_every_way_is_answered_for_itself(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    found = reach(
        System(),
        {"id": "ok", "url": f"{server}/ok"},
        {"id": "moved", "url": f"{server}/moved", "token": "t0ken"},
        {"id": "getonly", "url": f"{server}/getonly"},
        {"id": "closed", "url": f"http://127.0.0.1:{closed_port()}/ok"},
        {"id": "token", "url": f"{server}/gated", "token": "t0ken"},
        {"id": "none", "url": f"{server}/gated"},
        {"id": "nonsense", "url": "nonsense"},
        {"id": "own", "url": ""},
    )
    assert found["ok"] == ("ok", 200, "")
    assert found["moved"] == ("ok", 302, "")
    assert found["token"] == ("ok", 200, "")
    assert found["getonly"] == ("ok", 405, "")
    assert found["none"] == ("refused", 401, "it answers 401")
    assert found["closed"][:2] == ("connect", None)
    assert found["own"][:2] == ("unasked", None)
    assert found["nonsense"][:2] == ("connect", None)
    assert not any("t0ken" in message for _, _, message in found.values())
    assert sorted(path for path, _ in Server.seen) == ["/gated", "/gated", "/getonly", "/moved", "/ok"], (
        "a redirect is not followed"
    )


@pytest.fixture
def babbler() -> Iterator[str]:
    """Something that listens and does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            with listening.accept()[0] as one:
                one.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                one.recv(1000)

        threading.Thread(target=greet, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_what_does_not_speak_http_is_said_to_do_so_and_a_folder_is_not_asked(babbler: str) -> None:
    found = reach(System(), {"id": "ssh", "url": f"{babbler}/ok"}, {"id": "here", "url": "file:///srv/index"})
    assert found["ssh"] == ("connect", None, "what answers there does not speak HTTP")
    assert found["here"][0] == "unasked"


def test_nothing_is_said_of_what_stands_behind_a_socks_proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{closed_port()}")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = reach(System(), {"id": "far", "url": "http://hub.example/ok"}, {"id": "near", "url": f"{server}/ok"})
    assert found["far"] == ("socks", None, "it is reached through a SOCKS proxy, which the agent does not speak to")
    assert found["near"] == ("ok", 200, "")


def test_certificates_that_are_not_there_are_no_firewall() -> None:
    found = reach(System(), {"id": "a", "url": "https://127.0.0.1:1/"}, ca="/nowhere/ca.pem")
    assert found["a"] == ("tls", None, "the file of certificates that is named for it is not there")


def test_more_addresses_than_are_asked_at_once_are_all_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_reach, "AT_ONCE", 2)
    found = reach(System(), *({"id": str(number), "url": f"{server}/ok"} for number in range(5)))
    assert [found[str(number)][0] for number in range(5)] == ["ok"] * 5


def test_what_there_was_no_time_for_is_not_said_to_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_reach, "AT_ONCE", 1)
    system = System()
    asked: list[str] = []
    mine = threading.current_thread()
    monkeypatch.setattr(system, "clock", lambda: 99.0 if asked and threading.current_thread() is not mine else 0.0)
    monkeypatch.setattr(system, "head", lambda url, *_: asked.append(url) or 200)
    found = reach(system, {"id": "a", "url": "http://a/"}, {"id": "b", "url": "http://b/"})
    assert found["a"][0] == "ok"
    assert found["b"][:2] == ("timeout", None)
    assert "no time" in found["b"][2]
    assert asked == ["http://a/"]


def test_user_and_password_of_an_address_go_by_header(server: str) -> None:
    assert head(f"{server.replace('http://', 'http://me:p%40ss@')}/ok", {}, {}, 3.0) == 200
    assert Server.seen == [("/ok", "Basic bWU6cEBzcw==")]


def test_the_hosts_proxy_is_used_and_no_proxy_is_honoured(server: str) -> None:
    env = {"http_proxy": server}
    assert head("http://hub.example/ok", {}, env, 3.0) == 200
    assert Server.seen == [("http://hub.example/ok", None)]
    assert head(f"{server}/ok", {}, {"HTTP_PROXY": f"http://127.0.0.1:{closed_port()}", "NO_PROXY": "127.0.0.1"}, 3.0) == 200


def test_a_certificate_that_is_not_trusted_is_said_to_be_one(server: str) -> None:
    """Plain HTTP where TLS is expected: the words are those of TLS, not of the network."""
    found = reach(System(), {"id": "a", "url": f"{server.replace('http:', 'https:')}/ok"})
    assert found["a"][0] == "tls"
