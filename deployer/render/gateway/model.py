"""What a gateway and a route are, as values: made by plan, read by the files beside this one."""

from dataclasses import dataclass
from typing import NamedTuple

from deployer.render import names

HAPROXY = "/usr/sbin/haproxy"
PROBE_NAME = ":probe"  # what requests of our own are called; no key of a person can have this name
OURS = "x-deployer-"  # headers that only a gateway writes: what a client sends under such a name is taken away
KEY_NAME = f"{OURS}key"  # tells a replica, and a front, the name of the client's key
PEER = "/_replica"  # first segment of the front for other gateways; no deployment can have this name
KEY = "req.fhdr(authorization),regsub(^Bearer\\ +,,i),digest(sha256),hex,lower"  # what the key files are asked for
CHECK_S = 1  # how often a gateway asks another host's front whether it is up
LEFT_AFTER_S = CHECK_S + 2.0  # when a front says that it leaves, no gateway sends it anything new after this: one slow look


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`binds`: "127.0.0.1:8443", "*:8443". `tls`: clients speak TLS. `peers`: where other hosts' gateways come in, each with its
    certificate; None: nobody does. `metrics`: where figures are read, by this host and the networks in `allow`.
    `runtime`: directory for the admin socket.
    """

    fleet: str
    fleet_id: str
    binds: tuple[str, ...]
    tls: bool = False
    peers: str | None = None
    metrics: str | None = None
    allow: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        return f"/run/{names.gateway_unit_name(self.fleet).removesuffix('.service')}"

    @property
    def master(self) -> str:
        return f"{self.runtime}/master.sock"


class Server(NamedTuple):
    """Where a request can go: an engine on loopback, or a host's front, with this `certificate` and `peers` (paths) and under the
    name of the host. `at_once`: more than so many wait.
    """

    name: str
    address: str
    port: int
    at_once: int | None = None
    certificate: str | None = None
    peers: str | None = None


class Limits(NamedTuple):
    """What a route lets through. `rate`: so many requests of one key in so many seconds. `max_body`: bytes. `queue`: so many
    requests wait for a free replica, or for one that is up, so many seconds.
    """

    rate: tuple[int, float] | None = None
    max_body: int | None = None
    queue: tuple[int, float] | None = None


class Route(NamedTuple):
    """One deployment on one host's gateway.

    `engines`: this host's replicas. `fronts`: gateways of all hosts with a replica, this one included, when this host is
    the named gateway of a deployment on several hosts; requests then go to them and not to `engines`. `public`: the
    endpoint is here. `peers`: gateways come here for `engines`; they looked at the key. `paths`: what a client may ask for.
    Without `keys_path` and without `open` only loopback is served. `stopped`: 503, the keys and the address stay. Neither
    stopped nor with a replica, as for a moment in a rollout: 503 too, but said to be down. `leaving`: requests are
    served as ever, and other gateways are told to go elsewhere (at most LEFT_AFTER_S later they have).
    `affinity`: "session" or "prefix". `model_names`: what clients may send as model besides the deployment's name.
    `metrics`: the engines' figures are read here.
    `canary`: gets `share` of a hundred requests; the engines get the others.
    """

    fleet_id: str
    deployment: str
    engines: tuple[Server, ...]
    paths: tuple[str, ...]
    keys_path: str | None
    open: bool = False
    stopped: bool = False
    leaving: bool = False
    fronts: tuple[Server, ...] = ()
    public: bool = True
    peers: bool = False
    timeout_s: float = 60.0
    ready_path: str = "/health"
    log: bool = False
    limits: Limits = Limits()
    affinity: str | None = None
    model_names: tuple[str, ...] = ()
    entries_path: str = ""
    metrics: bool = False
    canary: Server | None = None
    share: int = 0
