"""HAProxy's configuration as text: one base file, and one file per deployment, in a directory that HAProxy reads as a whole.
Called by plan. Written for HAProxy 2.6, the one in Debian 12.

A request's first path segment names the deployment, and so the backend `be_<deployment>`: a deployment comes and goes with
its own file. `/_replica/<deployment>/…` is the front of this host's own replicas, for a gateway that stands elsewhere.
Nothing from the YAML but names, paths and numbers comes in here; keys lie in a map file by their SHA-256.
"""

from deployer.render.gateway.base import base_config
from deployer.render.gateway.model import HAPROXY, LEFT_AFTER_S, PEER, GatewayConfig, Limits, Route, Server
from deployer.render.gateway.models import fragments, host_fragments
from deployer.render.gateway.route import deployment_config
from deployer.render.gateway.unit import gateway_unit

__all__ = [
    "HAPROXY",
    "LEFT_AFTER_S",
    "PEER",
    "GatewayConfig",
    "Limits",
    "Route",
    "Server",
    "base_config",
    "deployment_config",
    "fragments",
    "gateway_unit",
    "host_fragments",
]
