"""`gateway` of deployer.yaml: the stable address of endpoints."""

from deployer.spec.base import Model, SecretRef
from deployer.spec.fields import Address, FilePath, Name, Network, Port


class GatewayTls(Model):
    """The certificate that clients see, with its chain, and its key, both in PEM form."""

    certificate: FilePath
    key: SecretRef


class Scrape(Model):
    """Where Prometheus reads figures of the gateway and of the host's engines, in plain HTTP. Without `allow`, on loopback."""

    port: Port = 9404
    allow: tuple[Network, ...] = ()  # who may read besides the host itself


class GatewaySpec(Model):
    """The stable address of endpoints."""

    port: Port = 8443
    tls: GatewayTls | None = None
    address: Address | None = None  # the name that clients use; None: the address of the first gateway
    insecure: bool = False  # plain HTTP off loopback, said aloud
    metrics: Scrape | None = None
    peer_port: Port | None = None  # where gateways of the fleet's other hosts come in, over TLS; None: port + 1
    hosts: tuple[Name, ...] = ()
