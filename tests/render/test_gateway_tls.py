"""TLS for clients, spoken by a real HAProxy."""

import http.client
import ssl
from contextlib import closing

from deployer.render import names
from deployer.render.gateway import GatewayConfig, Server, base_config
from tests.certificates import made
from tests.render.conftest import Gateway
from tests.render.test_gateway import BEARER, KEY, route


def with_tls(gateway: Gateway, pem: str, key: str) -> None:
    config = GatewayConfig("acme", "7f3a9c21", (f"127.0.0.1:{gateway.port}",), tls=True)
    path = gateway.folder / "tls.pem"
    gateway.base(config, lambda text: text.replace(names.certificate_path("acme"), str(path)))
    path.write_text(pem)
    path.with_name("tls.pem.key").write_text(key)


def ask(gateway: Gateway, ca: str, version: ssl.TLSVersion | None = None, **headers: str) -> int:
    context = ssl.create_default_context(cadata=ca)
    if version is not None:
        context.maximum_version = version
    with closing(http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=20, context=context)) as connection:
        connection.request("GET", "/chat/v1/models", headers=headers)
        return connection.getresponse().status


def test_clients_speak_tls_with_the_given_certificate_and_a_reload_takes_up_another(gateway: Gateway, engine: Server) -> None:
    first, second = made("127.0.0.1"), made("127.0.0.1")
    with_tls(gateway, *first)
    gateway.write(route(gateway, "chat", engine, keys={KEY: "a"}))
    gateway.run(ready=lambda: ask(gateway, first[0], **BEARER) == 200)
    assert ask(gateway, first[0]) == 401
    with_tls(gateway, *second)
    assert gateway.reload().returncode == 0
    gateway.until(lambda: ask(gateway, second[0], **BEARER) == 200)


def test_plain_http_and_old_tls_are_not_spoken(gateway: Gateway, engine: Server) -> None:
    pem, key = made("127.0.0.1")
    with_tls(gateway, pem, key)
    gateway.write(route(gateway, "chat", engine, open=True))
    gateway.run(ready=lambda: ask(gateway, pem) == 200)
    assert ask(gateway, pem, ssl.TLSVersion.TLSv1_2) == 200
    try:
        status = gateway.get("/chat/v1/models").status
    except (OSError, http.client.HTTPException):
        status = 0
    assert status in (0, 400)


def test_a_key_of_another_certificate_is_refused_before_the_running_one_is_touched(gateway: Gateway, engine: Server) -> None:
    pem, key = made("127.0.0.1")
    with_tls(gateway, pem, key)
    gateway.write(route(gateway, "chat", engine, open=True))
    gateway.run(ready=lambda: ask(gateway, pem) == 200)
    with_tls(gateway, pem, made("127.0.0.1")[1])
    assert gateway.checked().returncode != 0
    assert ask(gateway, pem) == 200


def test_the_configuration_names_the_key_only_by_its_file() -> None:
    assert "tls.pem.key" not in base_config(GatewayConfig("acme", "7f3a9c21", ("*:8443",), tls=True))
