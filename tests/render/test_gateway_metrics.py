"""What Prometheus reads of a gateway, asked of a real HAProxy."""

from deployer.render.gateway import GatewayConfig, Server
from tests.ports import free_port
from tests.render.conftest import Gateway
from tests.render.test_gateway import route


def with_metrics(gateway: Gateway, *allow: str, accept_proxy: bool = False) -> int:
    port = free_port()
    config = GatewayConfig("acme", "7f3a9c21", (f"127.0.0.1:{gateway.port}",), metrics=f"127.0.0.1:{port}", allow=allow)
    gateway.base(config, lambda text: text.replace(f":{port}\n", f":{port} accept-proxy\n") if accept_proxy else text)
    return port


def test_figures_of_the_gateway_and_of_each_engine_are_read_at_one_port(gateway: Gateway, engine: Server) -> None:
    port = with_metrics(gateway)
    replica = Server("replica-0", engine.address, engine.port)
    gateway.start(route(gateway, "chat", replica, open=True, metrics=True), route(gateway, "plain", replica, open=True))
    gateway.until(lambda: gateway.is_up("be_chat", "replica-0"))
    assert gateway.get("/chat/v1/models").status == 200
    counted = b'haproxy_backend_http_responses_total{proxy="be_chat",code="2xx"} 1'
    gateway.until(lambda: counted in gateway.get("/metrics", port=port).data)
    assert gateway.get("/chat/0/metrics", port=port).json["path"] == "/metrics"
    for path in ("/chat/1/metrics", "/chat/metrics", "/plain/0/metrics", "/chat/0/v1/models", "/chat/v1/models", "/"):
        assert gateway.get(path, port=port).status == 404, path
    assert gateway.get("/metrics").status == 404, "clients do not see them"
    assert gateway.get("/chat/0/metrics").status == 404


def test_only_the_networks_that_are_named_may_read(gateway: Gateway, engine: Server) -> None:
    port = with_metrics(gateway, "10.1.0.0/16", accept_proxy=True)
    gateway.start(route(gateway, "chat", engine, open=True))
    assert [gateway.status_from(source, "/metrics", port) for source in ("10.1.2.3", "10.2.0.1", "127.0.0.1")] == [200, 403, 200]
