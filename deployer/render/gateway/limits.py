"""What a route refuses and what it lets wait: the size of a body, the rate of a key, the queue. Called by route.

A rate is counted by each gateway's HAProxy for itself, from zero after a reload. What was refused does not count, so that a
client that keeps trying gets its share.
"""

import math

from deployer.render.gateway.answers import answer
from deployer.render.gateway.model import PROBE_NAME, Route, Server
from deployer.render.quote import haproxy_word

#: A request that waits for a replica to come up tries it every second; each third try looks whether another one is up.
_TRIES_PER_S = 1.5
_LOOK_AGAIN = 3


def duration(seconds: float) -> str:
    """HAProxy's clock ends at 24 days, and 0 would be for ever."""
    return f"{min(max(round(seconds * 1000), 1), 24 * 86400 * 1000)}ms"


def table(route: Route, name: str) -> list[str]:
    """The section that counts requests; empty without a rate, and at a front: the gateway has counted."""
    if route.limits.rate is None or not is_public(name):
        return []
    seconds = round(route.limits.rate[1])
    kind = f"stick-table type string len 128 size 100k expire {2 * seconds}s store gpc0,gpc0_rate({seconds}s)"
    return [f"backend {haproxy_word('rl_' + name)}", f"    {kind}"]


def is_public(name: str) -> bool:
    """Whether a backend is what clients reach, and not the front for gateways."""
    return name.startswith("be_")


def refusals(route: Route, name: str) -> list[str]:
    """In this order: what is too large, too often, too much at once."""
    return [*_body(route), *_rate(route, name), *_full(route, name)]


def _body(route: Route) -> list[str]:
    most = route.limits.max_body
    if most is None:
        return []
    unknown = "The request must say its length (Content-Length)."
    large = f"The request is too large: at most {most} bytes here."
    has_none = "if { method POST PUT PATCH } !{ req.hdr(content-length) -m found }"
    return [
        answer(411, unknown, "length_required", has_none, Connection="close"),
        answer(413, large, "request_too_large", f"if {{ req.hdr_val(content-length) gt {most} }}", Connection="close"),
    ]


def _rate(route: Route, name: str) -> list[str]:
    if route.limits.rate is None or not is_public(name):
        return []
    number, seconds = route.limits.rate
    ours = f"{{ var(txn.key) -m beg {PROBE_NAME} }}"
    who = "var(txn.key)" if route.keys_path and not route.open else "src"
    what = f"Rate limit reached: {number} requests in {round(seconds)} s. Please try again later."
    after = str(min(60, math.ceil(seconds / number)))
    return [
        f"    http-request track-sc0 {who} table {haproxy_word('rl_' + name)} unless {ours}",
        answer(429, what, "rate_limit_exceeded", f"if {{ sc0_gpc0_rate ge {number} }}", Retry_After=after),
        f"    http-request sc-inc-gpc0(0) unless {ours}",
    ]


def _full(route: Route, name: str) -> list[str]:
    if route.limits.queue is None:
        return []
    size = route.limits.queue[0]
    what = f"Too many requests wait already ({size}). Please try again later."
    condition = f"if {{ queue({name}) ge {size} }} || !some_up {{ be_conn({name}) gt {size} }}"
    return [answer(503, what, "queue_full", condition, Retry_After="1")]


def some_up(name: str, servers: tuple[Server, ...]) -> list[str]:
    """Whether a check says that one is up. nbsrv() would count those that are tried when none is."""
    return [f"    acl some_up srv_is_up({name}/{server.name})" for server in servers] or ["    acl some_up always_false"]


def waiting(route: Route, servers: tuple[Server, ...]) -> list[str]:
    """The same servers once more, unchecked, for the time when no check says that one is up: a request is tried there again
    and again. Nothing of it was sent before a connection stands, so none runs twice.
    """
    if route.limits.queue is None:
        return []
    seconds = route.limits.queue[1]
    return [
        f"    retries {math.ceil(seconds * _TRIES_PER_S)}",
        f"    option redispatch {_LOOK_AGAIN}",
        "    option allbackups",
        f"    timeout queue {duration(seconds)}",
        *(f"    {line(s, 'wait-')} backup" for s in servers),
    ]


def line(server: Server, prefix: str = "") -> str:
    most = f" maxconn {server.at_once}" if server.at_once else ""
    tls = ""
    if server.certificate and server.peers:
        own, others, name = (haproxy_word(word) for word in (server.certificate, server.peers, server.name))
        tls = f" ssl crt {own} ca-file {others} verify required verifyhost {name}"
    return f"server {haproxy_word(prefix + server.name)} {haproxy_word(f'{server.address}:{server.port}')}{tls}{most}"
