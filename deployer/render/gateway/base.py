"""The base file of HAProxy's configuration: global settings, the one frontend, and HAProxy's own answers."""

from deployer.render import names
from deployer.render.gateway import models
from deployer.render.gateway.answers import answer, body
from deployer.render.gateway.model import KEY_NAME, OURS, PEER, GatewayConfig
from deployer.render.quote import haproxy_word

#: One JSON line a request: no query, no headers but the client's name for itself, the key only by its name.
_LOG = (
    '{"at":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","id":"%[var(txn.id)]","client":"%ci","deployment":"%b","server":"%s",'
    '"method":"%HM","path":"%[var(txn.path),json(utf8s)]","status":%ST,"key":"%[var(txn.key),json(utf8s)]",'
    '"agent":"%[var(txn.agent),json(utf8s)]","bytes":%B,"first_byte_ms":%Ta,"end":"%ts"}'
)

_COMMON = """\
    http-request set-var(txn.path) path
    http-request set-var(txn.from) src
    http-request set-var(txn.agent) req.hdr(user-agent)
"""


def base_config(config: GatewayConfig) -> str:
    return f"""\
# Made by deployer for fleet {config.fleet}, id {config.fleet_id}.
global
    log stdout format raw local0 info
    user haproxy
    group haproxy
    maxconn 8000
    hard-stop-after 30m
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    tune.bufsize {models.BUFFER}
    stats socket {config.runtime}/admin.sock mode 600 level admin expose-fd listeners

defaults
    mode http
    log global
    log-format {haproxy_word(_LOG)}
    option dontlognull
    option http-keep-alive
    option idle-close-on-response
    option http-buffer-request
    option redispatch 1
    retries 2
    retry-on conn-failure 503
    timeout connect 5s
    timeout client 60s
    timeout http-request 30s
    timeout http-keep-alive 60s
    timeout queue 60s
    timeout server 60s
{_errors()}
{_clients(config)}{_peers(config)}{_metrics(config)}
backend nowhere
{answer(404, "There is no such deployment here.", "deployment_not_found")}
"""


def _clients(config: GatewayConfig) -> str:
    tls = f" ssl crt {names.certificate_path(config.fleet)} alpn h2,http/1.1" if config.tls else ""
    binds = "".join(f"    bind {haproxy_word(bind)}{tls}\n" for bind in config.binds)
    return f"""\
frontend gateway
{binds}\
    http-request set-var(txn.id) uuid()
{_COMMON}\
    http-request del-header x-forwarded- -m beg
    http-request del-header forwarded
    http-request del-header {OURS} -m beg
    http-request set-header x-request-id %[var(txn.id)]
    http-after-response set-header x-request-id %[var(txn.id)]
    http-after-response del-header server
{models.rules(names.models_path(config.fleet))}\
    use_backend be_%[path,field(2,/)]
    default_backend nowhere
"""


def _peers(config: GatewayConfig) -> str:
    """Where other hosts' gateways come in: only who shows a certificate of the fleet gets a word. The name of the request is the
    one that the first gateway gave it, and that of the key the one that it found.
    """
    if config.peers is None:
        return ""
    own, others = names.peer_path(config.fleet), names.peers_path(config.fleet)
    return f"""
frontend peers
    bind {haproxy_word(config.peers)} ssl crt {own} ca-file {others} verify required
    http-request set-var(txn.id) req.hdr(x-request-id)
    http-request set-var(txn.key) req.fhdr({KEY_NAME})
{_COMMON}\
    use_backend re_%[path,field(3,/)] if {{ path_beg {PEER}/ }}
    default_backend nowhere
"""


def _metrics(config: GatewayConfig) -> str:
    """What Prometheus reads: HAProxy's own figures at /metrics, an engine's at /DEPLOYMENT/SLOT/metrics."""
    if config.metrics is None:
        return ""
    readers = " ".join(haproxy_word(word) for word in ("127.0.0.0/8", "::1", *config.allow))
    return f"""
frontend metrics
    bind {haproxy_word(config.metrics)}
    http-request set-log-level silent
    http-request deny unless {{ src {readers} }}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    use_backend me_%[path,field(2,/)] if {{ path_end /metrics }}
    default_backend nowhere
"""


def _errors() -> str:
    """HAProxy's own answers, in the shape that clients of OpenAI's API read."""
    answers = (
        (400, "This is no valid HTTP request.", "bad_request"),
        (408, "The request did not arrive in time.", "request_timed_out"),
        (502, "The replica ended before it answered.", "replica_failed"),
        (503, "No replica of this deployment can be reached, or none was free in time.", "replicas_down"),
        (504, "The replica did not answer in time.", "replica_timed_out"),
    )
    head = "    http-error status {} content-type application/json string {}\n"
    return "".join(head.format(status, haproxy_word(body(status, message, code))) for status, message, code in answers)
