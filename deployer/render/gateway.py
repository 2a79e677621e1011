"""HAProxy's configuration as text: one base file, and one file per deployment, in a directory that HAProxy reads as a whole.
Called by plan. Written for HAProxy 2.6, the one in Debian 12.

A request's first path segment names the deployment, and so the backend `be_<deployment>`: a deployment comes and goes with
its own file. `/_replica/<deployment>/…` is the front of this host's own replicas, for a gateway that stands elsewhere.
Nothing from the YAML but names, paths and numbers comes in here; keys lie in a map file by their SHA-256.
"""

import json
from dataclasses import dataclass

from deployer.render import names, programs
from deployer.render.quote import haproxy_word, unit_command
from deployer.render.unit import PYTHON

HAPROXY = "/usr/sbin/haproxy"
PEER = "/_replica"  # first segment of the front for other gateways; no deployment can have this name


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`binds`: "127.0.0.1:8443", "*:8443". `runtime`: directory for the admin socket."""

    fleet: str
    fleet_id: str
    binds: tuple[str, ...]

    @property
    def runtime(self) -> str:
        return f"/run/{names.gateway_unit_name(self.fleet).removesuffix('.service')}"

    @property
    def master(self) -> str:
        return f"{self.runtime}/master.sock"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a request can go: an engine on loopback, or another host's front."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Route:
    """One deployment on one host's gateway.

    `engines`: this host's replicas. `fronts`: gateways of all hosts with a replica, this one included, when this host is
    the named gateway of a deployment on several hosts; requests then go to them and not to `engines`. `public`: the
    endpoint is here. `peers`: a gateway elsewhere comes here for `engines`. `paths`: what a client may ask for. Without
    `keys` and without `open` only loopback is served. `stopped`: 503, the keys and the address stay.
    """

    fleet_id: str
    deployment: str
    engines: tuple[Server, ...]
    paths: tuple[str, ...]
    keys_path: str | None
    open: bool = False
    stopped: bool = False
    fronts: tuple[Server, ...] = ()
    public: bool = True
    peers: bool = False
    timeout_s: float = 60.0
    ready_path: str = "/health"
    log: bool = False


def base_config(config: GatewayConfig) -> str:
    binds = "".join(f"    bind {haproxy_word(bind)}\n" for bind in config.binds)
    return f"""\
# Made by deployer for fleet {config.fleet}, id {config.fleet_id}.
global
    log stdout format raw local0 info
    user haproxy
    group haproxy
    maxconn 8000
    hard-stop-after 30m
    stats socket {config.runtime}/admin.sock mode 600 level admin expose-fd listeners

defaults
    mode http
    log global
    log-format {haproxy_word(_LOG)}
    option dontlognull
    option http-keep-alive
    option idle-close-on-response
    option redispatch
    retries 2
    retry-on conn-failure
    timeout connect 5s
    timeout client 60s
    timeout http-request 30s
    timeout http-keep-alive 60s
    timeout queue 60s
    timeout server 60s
{_errors()}
frontend gateway
{binds}\
    http-request set-var(txn.id) uuid()
    http-request set-var(txn.path) path
    http-request set-var(txn.agent) req.hdr(user-agent)
    http-request del-header x-forwarded- -m beg
    http-request del-header forwarded
    http-request set-header x-request-id %[var(txn.id)]
    http-after-response set-header x-request-id %[var(txn.id)]
    http-after-response del-header server
    use_backend re_%[path,field(3,/)] if {{ path_beg {PEER}/ }}
    use_backend be_%[path,field(2,/)]
    default_backend nowhere

backend nowhere
{_answer(404, "There is no such deployment here.", "deployment_not_found")}"""


def deployment_config(route: Route) -> str:
    head = f"# Made by deployer for fleet id {route.fleet_id}: {route.deployment}\n"
    public = _backend(route, f"be_{route.deployment}", f"/{route.deployment}", route.fronts) if route.public else ""
    peers = _backend(route, f"re_{route.deployment}", f"{PEER}/{route.deployment}", ()) if route.peers else ""
    return head + "\n".join(part for part in (public, peers) if part)


def gateway_unit(config: GatewayConfig) -> str:
    """The service. The master stays root, so that it can read keys (0600 root) again; the workers are user haproxy."""
    directory = names.gateway_directory(config.fleet)
    check = f"{HAPROXY} -c -q -f {directory}"
    return f"""\
# Made by deployer for fleet {config.fleet}, id {config.fleet_id}.
# What is changed by hand here is shown as drift and put back.
[X-Deployer]
Fleet={config.fleet}
FleetId={config.fleet_id}
Gateway=yes

[Unit]
Description=deployer {config.fleet} gateway
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
SyslogIdentifier={names.gateway_unit_name(config.fleet).removesuffix(".service")}
RuntimeDirectory={config.runtime.removeprefix("/run/")}
RuntimeDirectoryMode=0700
ExecStartPre={check}
ExecStart={HAPROXY} -Ws -f {directory} -S {config.master},mode,600,level,admin
ExecReload={check}
ExecReload={unit_command((PYTHON, "-I", "-c", programs.RELOAD, config.master))}
KillMode=mixed
Restart=always
RestartSec=1
SuccessExitStatus=143
TimeoutStopSec=15
LimitNOFILE=65536
{_HARDENING}
[Install]
WantedBy=multi-user.target
"""


_HARDENING = """\
UMask=0077
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN CAP_NET_BIND_SERVICE
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
"""

#: One JSON line a request: no query, no headers but the client's name for itself, the key only by its name.
_LOG = (
    '{"at":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","id":"%[var(txn.id)]","client":"%ci","deployment":"%b","server":"%s",'
    '"method":"%HM","path":"%[var(txn.path),json(utf8s)]","status":%ST,"key":"%[var(txn.key),json(utf8s)]",'
    '"agent":"%[var(txn.agent),json(utf8s)]","bytes":%B,"first_byte_ms":%Ta,"end":"%ts"}'
)

_KEY = "req.fhdr(authorization),regsub(^Bearer\\ +,,i),digest(sha256),hex,lower"


def _backend(route: Route, name: str, prefix: str, fronts: tuple[Server, ...]) -> str:
    lines = [f"backend {haproxy_word(name)}"]
    if prefix.startswith(PEER):
        lines += _up(name, prefix)
    lines += _fence(route)
    if route.stopped or not (fronts or route.engines):
        lines.append(_answer(503, "This deployment is stopped.", "deployment_stopped").rstrip("\n"))
        return "\n".join(lines) + "\n"
    lines += _paths(route, prefix)
    lines += _servers(route, prefix, fronts)
    return "\n".join(lines) + "\n"


def _up(name: str, prefix: str) -> list[str]:
    """What another gateway's health check asks: no key, and no more than whether a replica is up."""
    up = (
        f"    http-request return status 200 content-type text/plain string up if {{ path {prefix}/up }} {{ nbsrv({name}) gt 0 }}"
    )
    down = f"    http-request return status 503 content-type text/plain string down if {{ path {prefix}/up }}"
    return [up, down]


def _fence(route: Route) -> list[str]:
    if route.open:
        return []
    if route.keys_path is None:
        condition = "unless { src 127.0.0.0/8 ::1 }"
        what = "This endpoint has no keys and is served on its own host only."
        return [_answer(403, what, "endpoint_is_local", condition).rstrip("\n")]
    return [
        f"    http-request set-var(txn.key) {_KEY},map_str({haproxy_word(route.keys_path)})",
        _answer(401, "The API key is missing or wrong.", "invalid_api_key", "unless { var(txn.key) -m found }").rstrip("\n"),
    ]


def _paths(route: Route, prefix: str) -> list[str]:
    """Whole paths only, compared before anything is decoded or rewritten: what is not in the list does not get through."""
    allowed = " ".join(haproxy_word(prefix + path) for path in route.paths)
    return [
        f"    acl allowed path -m str {allowed}",
        _answer(404, "There is no such path on this endpoint.", "path_not_found", "unless allowed").rstrip("\n"),
        # what was refused is logged whatever the deployment says
        *([] if route.log else ["    http-request set-log-level silent"]),
    ]


def _servers(route: Route, prefix: str, fronts: tuple[Server, ...]) -> list[str]:
    target = f"{PEER}/{route.deployment}" if fronts else ""
    health = f"{PEER}/{route.deployment}/up" if fronts else route.ready_path
    lines = [
        # the key is checked again by the other hosts' fronts; an engine has none and needs not see it
        *([] if fronts else ["    http-request del-header authorization"]),
        f"    http-request replace-path ^{prefix}(/.*)$ {target}\\1",
        "    balance leastconn",
        f"    timeout server {round(route.timeout_s * 1000)}ms",
        f"    option httpchk GET {health}",
        "    http-check expect status 200",
        # a host whose name cannot be found must not keep the whole gateway from starting
        "    default-server check inter 2s fall 3 rise 1 init-addr last,libc,none",
    ]
    return [
        *lines,
        *(f"    server {haproxy_word(s.name)} {haproxy_word(f'{s.address}:{s.port}')}" for s in fronts or route.engines),
    ]


def _body(message: str, code: str) -> str:
    kind = "server_error" if code in ("replicas_down", "deployment_stopped") else "invalid_request_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _answer(status: int, message: str, code: str, condition: str = "") -> str:
    body = haproxy_word(_body(message, code))
    return f"    http-request return status {status} content-type application/json string {body} {condition}".rstrip() + "\n"


def _errors() -> str:
    """HAProxy's own answers, in the shape that clients of OpenAI's API read."""
    answers = (
        (502, "The replica ended before it answered.", "replica_failed"),
        (503, "No replica of this deployment can be reached.", "replicas_down"),
        (504, "The replica did not answer in time.", "replica_timed_out"),
    )
    head = "    http-error status {} content-type application/json string {}\n"
    return "".join(head.format(status, haproxy_word(_body(message, code))) for status, message, code in answers)
