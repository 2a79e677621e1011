"""An engine keeps idle connections longer than the gateway keeps its clients' (docs/decisions/0015)."""

import re
from pathlib import Path

from deployer.engines.vllm import _ENV
from deployer.render.gateway import GatewayConfig, base_config

SERVE = Path(__file__).parents[2] / "deployer" / "serve" / "run.py"


def test_engines_keep_idle_connections_longer_than_the_gateway_keeps_its_clients() -> None:
    (gateway,) = re.findall(r"timeout http-keep-alive (\d+)s", base_config(GatewayConfig("acme", "7f3a9c21", ("*:8443",))))
    (ours,) = re.findall(r"timeout_keep_alive=(\d+)", SERVE.read_text())
    assert min(int(ours), int(_ENV["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"])) > int(gateway)
