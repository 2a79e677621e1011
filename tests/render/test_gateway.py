"""What a client meets at the gateway, asked of a real HAProxy."""

import hashlib
import http.client
import json
import socket
import threading
import time
from contextlib import closing

import pytest

from deployer.render.gateway import LEFT_AFTER_S, GatewayConfig, Route, Server, base_config, deployment_config, gateway_unit
from tests.certificates import made
from tests.ports import free_port
from tests.render.conftest import Engine, Gateway

KEY = "sk-poison-7c1e"
BEARER = {"Authorization": f"Bearer {KEY}"}
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/models")


def route(gateway: Gateway, name: str, *engines: Server, keys: dict[str, str] | None = None, **more: object) -> Route:
    keys_path = gateway.folder / f"{name}.keys"
    if keys is not None:
        keys_path.write_text("".join(f"{hashlib.sha256(k.encode()).hexdigest()} {who}\n" for k, who in keys.items()))
    entries = str(gateway.folder / "all.entries")
    fields = {"keys_path": None if keys is None else str(keys_path), "entries_path": entries, **more}
    return Route("7f3a9c21", name, engines, PATHS, **fields)  # type: ignore[arg-type]


def test_the_right_key_reaches_the_engine_without_the_prefix_and_without_the_key(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "team-a"}))
    answer = gateway.request("POST", "/chat/v1/completions?x=1", {"prompt": "hi"}, **BEARER, X_Forwarded_For="6.6.6.6")
    assert answer.status == 200
    assert answer.json["path"] == "/v1/completions?x=1"
    assert answer.json["body"] == {"prompt": "hi"}
    assert "authorization" not in answer.json["headers"]
    assert "x-forwarded-for" not in answer.json["headers"]
    assert answer.headers["x-request-id"] == answer.json["headers"]["x-request-id"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nope"}, {"Authorization": "Bearer "}, {"Authorization": ""}])
def test_a_missing_or_wrong_key_is_401(gateway: Gateway, engine: Server, header: dict[str, str]) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "team-a"}))
    answer = gateway.request("POST", "/chat/v1/completions", {}, **header)
    assert (answer.status, answer.code) == (401, "invalid_api_key")
    assert answer.headers["content-type"] == "application/json"


def test_a_key_file_without_keys_lets_nobody_in(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={}))
    assert gateway.get("/chat/v1/models", **BEARER).status == 401


def test_the_key_of_one_deployment_does_not_open_another(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}), route(gateway, "embed", engine, keys={"other": "b"}))
    assert gateway.get("/chat/v1/models", **BEARER).status == 200
    assert gateway.get("/embed/v1/models", **BEARER).status == 401


def test_a_key_with_a_comma_is_one_key(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={"one,two three": "a"}))
    assert gateway.get("/chat/v1/models", Authorization="bearer one,two three").status == 200
    assert gateway.get("/chat/v1/models", Authorization="Bearer two three").status == 401


def test_without_keys_loopback_is_served_and_an_open_one_needs_no_key(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "local", engine), route(gateway, "free", engine, open=True))
    assert gateway.get("/local/v1/models").status == 200
    assert gateway.get("/free/v1/models").status == 200


def test_without_keys_another_address_is_403(gateway: Gateway, engine: Server) -> None:
    port = free_port()
    base = gateway.folder / "00-base.cfg"
    bind = f"    bind 127.0.0.1:{gateway.port}\n"
    # the PROXY protocol gives a request another source, as a second machine would
    base.write_text(base.read_text().replace(bind, f"{bind}    bind 127.0.0.1:{port} accept-proxy\n"))
    gateway.start(route(gateway, "local", engine), route(gateway, "free", engine, open=True))

    def status(path: str, source: str) -> int:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"PROXY TCP4 {source} 10.0.0.1 5 80\r\nGET {path} HTTP/1.0\r\n\r\n".encode())
            return int(client.makefile("rb").readline().split()[1])

    assert status("/local/v1/models", "10.9.8.7") == 403
    assert status("/local/v1/models", "127.0.0.1") == 200
    assert status("/free/v1/models", "10.9.8.7") == 200


@pytest.mark.parametrize(
    "path",
    [
        "/chat/metrics",
        "/chat/invocations",
        "/chat/health",
        "/chat/docs",
        "/chat/v1/load_lora_adapter",
        "/chat/v1/models/",
        "/chat/v1/models/../../metrics",
        "/chat/v1/../metrics",
        "/chat/v1/%2e%2e/metrics",
        "/chat/v1/models%2f..%2f..%2finvocations",
        "/chat//v1/models",
        "/chat",
        "/chat/",
        "//chat/v1/models",
        "/CHAT/v1/models",
        "/ch%61t/v1/models",
        "/other/v1/models",
        "/_replica/chat/v1/models",
        "/",
        "/v1/models/",
        "/_replica/",
        "/_replica/chat",
        "/nowhere/v1/models",
    ],
)
def test_nothing_but_the_listed_paths_gets_through(gateway: Gateway, engine: Server, path: str) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}))
    assert gateway.get(path, **BEARER).status == 404
    assert gateway.get("/chat/v1/models", **BEARER).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /chat/v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n Bearer y\r\n\r\n",
        b"GET /chat/v1/models HTTP/1.1\r\nHost: a\r\nX: 1\nAuthorization: Bearer "
        + KEY.encode()
        + b"\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET /chat/v1/models\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /chat/v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
    ],
)
def test_a_crooked_request_does_not_reach_the_engine(gateway: Gateway, engine: Server, raw: bytes) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(raw)
        assert int(client.makefile("rb").readline().split()[1]) in (400, 401)


def test_a_stopped_deployment_keeps_its_address_and_its_keys(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}, stopped=True))
    answer = gateway.get("/chat/v1/models", **BEARER)
    assert (answer.status, answer.code) == (503, "deployment_stopped")
    assert gateway.get("/chat/v1/models").status == 401


def test_a_dead_replica_is_a_503_that_openai_clients_can_read(gateway: Gateway) -> None:
    gateway.start(route(gateway, "chat", Server("s0", "127.0.0.1", free_port()), open=True))
    gateway.until(lambda: gateway.get("/chat/v1/models").status == 503)
    assert gateway.get("/chat/v1/models").code == "replicas_down"


def test_a_dead_replica_beside_a_live_one_is_not_noticed(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", Server("s1", "127.0.0.1", free_port()), engine, open=True))
    assert {gateway.request("POST", "/chat/v1/completions", {}).status for _ in range(8)} == {200}


def test_a_stream_arrives_piece_by_piece(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, open=True))
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request("POST", "/chat/v1/completions", json.dumps({"chunks": 3}))
    response = connection.getresponse()
    assert response.read1() == b"data: 0\n\n"
    Engine.release.set()
    assert response.read() == b"data: 1\n\ndata: 2\n\n"
    connection.close()


def test_an_answer_slower_than_the_timeout_is_a_504(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, open=True, timeout_s=0.3))
    answer = gateway.request("POST", "/chat/v1/completions", {"hold": True})
    assert (answer.status, answer.code) == (504, "replica_timed_out")


def test_a_timeout_longer_than_the_clients_own_is_kept(gateway: Gateway, engine: Server) -> None:
    base = gateway.folder / "00-base.cfg"
    text = base.read_text()
    assert "timeout client " in text
    base.write_text("".join("    timeout client 300ms\n" if "timeout client" in x else x for x in text.splitlines(True)))
    gateway.start(route(gateway, "chat", engine, open=True, timeout_s=20))
    threading.Timer(1.5, Engine.release.set).start()
    assert gateway.request("POST", "/chat/v1/completions", {"hold": True}).status == 200


def test_a_reload_under_load_drops_no_request(gateway: Gateway, engine: Server) -> None:
    chat = route(gateway, "chat", engine, keys={KEY: "a"})
    gateway.start(chat)
    statuses: list[int | str] = []
    stop = threading.Event()

    def client() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
            while not stop.is_set():
                try:
                    connection.request("GET", "/chat/v1/models", headers=BEARER)
                    response = connection.getresponse()
                    response.read()
                except (OSError, http.client.HTTPException) as error:
                    statuses.append(repr(error))
                    return
                statuses.append(response.status)

    held: list[int] = []
    waiting = threading.Thread(
        target=lambda: held.append(gateway.request("POST", "/chat/v1/completions", {"hold": True}, **BEARER).status)
    )
    waiting.start()
    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    for number in range(5):
        gateway.write(chat, route(gateway, f"more-{number}", engine, open=True))
        assert gateway.reload().returncode == 0
        gateway.until(lambda n=number: gateway.get(f"/more-{n}/v1/models").status == 200)  # type: ignore[misc]
    stop.set()
    for thread in clients:
        thread.join()
    Engine.release.set()
    waiting.join()
    assert len(statuses) > 50
    assert set(statuses) == {200}
    assert held == [200], "a request that was running during the reloads ended well"


@pytest.mark.parametrize("through", ["its own gateway", "a front"])
def test_a_replica_is_told_the_keys_name_and_no_client_can_say_another(gateway: Gateway, engine: Server, through: str) -> None:
    fronts = (gateway.with_peers(),) if through == "a front" else ()
    more = {"fronts": fronts, "peers": bool(fronts), "log": True}
    gateway.start(
        route(gateway, "chat", engine, keys={KEY: "team:a,b"}, **more), route(gateway, "free", engine, **{**more, "open": True})
    )
    gateway.until(lambda: {gateway.get(f"/{name}/v1/models", **BEARER).status for name in ("chat", "free")} == {200})
    lies = {"X_Deployer_Key": "boss", "x_dePLOYER_kEY": "boss", "X_Deployer_Other": "boss", "Connection": "close, x-deployer-key"}
    told = gateway.request("POST", "/chat/v1/completions", {}, **BEARER, **lies).json["headers"]
    assert {name: value for name, value in told.items() if name.startswith("x-deployer")} == {"x-deployer-key": "team:a,b"}
    untold = gateway.request("POST", "/free/v1/completions", {}, **BEARER, **lies).json["headers"]
    assert not [name for name in untold if name.startswith("x-deployer")]
    gateway.until(lambda: len([line for line in gateway.requests() if "/v1/completions" in line["path"]]) == 2 + 2 * len(fronts))
    named = {(line["deployment"], line["key"]) for line in gateway.requests() if "/v1/completions" in line["path"]}
    assert named == {
        (f"{end}_{name}", key) for end in ("be", "re")[: 1 + len(fronts)] for name, key in (("chat", "team:a,b"), ("free", "-"))
    }


def test_the_log_says_who_asked_for_what_and_never_the_key(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: 'te"am\\a'}, log=True))
    gateway.get("/chat/v1/models?secret=1", **BEARER, User_Agent='evil"}\\ \x7f')
    line = gateway.logged("/chat/v1/models")
    assert (line["deployment"], line["status"], line["path"], line["key"]) == ("be_chat", 200, "/chat/v1/models", 'te"am\\a')
    assert KEY not in "".join(gateway.lines)
    assert "secret" not in "".join(gateway.lines)


def test_a_deployment_that_wants_no_log_is_logged_only_when_it_refuses(gateway: Gateway, engine: Server) -> None:
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}), route(gateway, "loud", engine, open=True, log=True))
    gateway.get("/chat/v1/completions", **BEARER)
    gateway.get("/chat/v1/models", Authorization="Bearer wrong")
    gateway.get("/loud/v1/models")
    gateway.logged("/loud/v1/models")
    assert gateway.logged("/chat/v1/models")["status"] == 401
    assert "/chat/v1/completions" not in [line["path"] for line in gateway.requests()]


def test_replicas_on_two_hosts_are_reached_through_their_hosts_fronts(gateway: Gateway, engine: Server) -> None:
    """One HAProxy plays both: its public route goes to its own front for peers, as it would to another host's."""
    front = gateway.with_peers()
    gateway.start(route(gateway, "chat", engine, keys={KEY: "a"}, fronts=(front,), peers=True))
    gateway.until(lambda: gateway.get("/chat/v1/models", **BEARER).status == 200)
    answer = gateway.get("/chat/v1/models", **BEARER)
    assert answer.json["path"] == "/v1/models"
    assert "authorization" not in answer.json["headers"]
    assert answer.headers["x-request-id"] == answer.json["headers"]["x-request-id"], "the name of a request is kept"
    assert gateway.get("/chat/v1/models").status == 401
    assert gateway.get("/_replica/chat/v1/models", **BEARER).status == 404, "a client does not get at the front"
    assert gateway.peer_get("/_replica/chat/v1/models", front) == 200
    assert gateway.peer_get("/_replica/chat/metrics", front) == 404
    assert gateway.peer_get("/chat/v1/models", front) == 404
    assert gateway.peer_get("/_replica/chat/up", front) == 200


def test_who_shows_no_certificate_of_the_fleet_gets_no_word_from_a_front(gateway: Gateway, engine: Server) -> None:
    front = gateway.with_peers()
    gateway.start(route(gateway, "chat", engine, open=True, public=False, peers=True))
    stranger = gateway.folder.parent / "stranger.pem"
    stranger.write_text("".join(made("gpu-02")))
    for certificate in ("", str(stranger)):
        with pytest.raises((OSError, http.client.HTTPException)):
            gateway.peer_get("/_replica/chat/v1/models", front, certificate=certificate)
    with pytest.raises((OSError, http.client.HTTPException)):
        gateway.get("/_replica/chat/v1/models", port=gateway.peer_port)
    assert gateway.peer_get("/_replica/chat/v1/models", front) == 200


@pytest.mark.parametrize("lie", ["another certificate", "another host's name"])
def test_a_gateway_sends_nothing_to_a_front_that_is_not_the_one_it_knows(gateway: Gateway, engine: Server, lie: str) -> None:
    front = gateway.with_peers()
    if lie == "another certificate":
        trusted = gateway.folder.parent / "other.pem"
        trusted.write_text(made("gpu-02")[0])
        front = front._replace(peers=str(trusted))
    else:
        front = front._replace(name="gpu-03")
    gateway.start(route(gateway, "chat", engine, open=True, fronts=(front,), peers=True))
    gateway.until(lambda: gateway.get("/chat/v1/models").status == 503)
    assert "handshake" in gateway.statistic("be_chat", front.name, "last_chk").lower() or not gateway.is_up("be_chat", front.name)


def test_a_front_whose_name_is_not_known_does_not_keep_the_others_from_answering(gateway: Gateway, engine: Server) -> None:
    front = gateway.with_peers()
    lost = front._replace(name="gpu-09", address="gpu-09.invalid")
    both = route(gateway, "chat", engine, open=True, fronts=(front, lost), peers=True), route(gateway, "lost", lost, open=True)
    gateway.start(*both, warning="could not resolve address 'gpu-09.invalid'")
    gateway.until(lambda: gateway.get("/chat/v1/models").status == 200)
    assert gateway.get("/lost/v1/models").status == 503


def test_a_host_with_replicas_only_for_a_gateway_elsewhere_has_no_endpoint(gateway: Gateway, engine: Server) -> None:
    front = gateway.with_peers()
    gateway.start(route(gateway, "chat", engine, public=False, peers=True))
    assert gateway.get("/chat/v1/models").status == 404
    assert gateway.peer_get("/_replica/chat/v1/models", front) == 200


def test_a_front_whose_replicas_are_down_says_so_to_the_gateway(gateway: Gateway) -> None:
    front = gateway.with_peers()
    gateway.start(route(gateway, "chat", Server("s0", "127.0.0.1", free_port()), open=True, public=False, peers=True))
    gateway.until(lambda: gateway.peer_get("/_replica/chat/up", front) == 503)


def test_a_front_that_leaves_serves_on_and_gets_nothing_new_from_other_gateways(gateway: Gateway, engine: Server) -> None:
    front = gateway.with_peers()
    entry = route(gateway, "entry", open=True, fronts=(front,))
    # the public route of one deployment asks the front of the other, so that only the front says that it leaves
    entry_text = deployment_config(entry).replace("/_replica/entry", "/_replica/chat")

    def write(leaving: bool) -> None:
        gateway.write(route(gateway, "chat", engine, open=True, public=False, peers=True, leaving=leaving))
        (gateway.folder / "10-entry.cfg").write_text(entry_text)

    write(False)
    gateway.run()
    gateway.until(lambda: gateway.get("/entry/v1/models").status == 200)
    held: list[int] = []
    body = {"hold": True}
    running = threading.Thread(target=lambda: held.append(gateway.request("POST", "/entry/v1/completions", body).status))
    running.start()
    write(True)
    assert gateway.reload().returncode == 0
    began = time.monotonic()
    gateway.until(lambda: gateway.get("/entry/v1/models").status == 503)
    assert time.monotonic() - began < LEFT_AFTER_S
    assert gateway.peer_get("/_replica/chat/v1/models", front) == 200, "who still comes is served"
    assert gateway.peer_get("/_replica/chat/up", front) == 404
    Engine.release.set()
    running.join()
    assert held == [200]


def test_a_route_that_has_no_replica_for_a_moment_is_down_and_not_stopped(gateway: Gateway) -> None:
    front = gateway.with_peers()
    gateway.start(route(gateway, "chat", keys={KEY: "a"}, peers=True))
    answer = gateway.get("/chat/v1/models", **BEARER)
    assert (answer.status, answer.code) == (503, "replicas_down")
    assert gateway.get("/chat/v1/models").status == 401
    assert gateway.peer_get("/_replica/chat/up", front) == 503


def test_unit_and_configuration_name_the_fleet_in_their_first_lines() -> None:
    config = GatewayConfig("acme", "7f3a9c21", ("*:8443",))
    for text in (base_config(config), gateway_unit(config)):
        assert any(line.startswith("#") and "7f3a9c21" in line for line in text.splitlines()[:10])
