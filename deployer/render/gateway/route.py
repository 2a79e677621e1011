"""One deployment's file: the backend that clients reach, and the front for gateways on other hosts."""

from deployer.render.gateway import limits
from deployer.render.gateway.answers import answer
from deployer.render.gateway.model import CHECK_S, KEY, KEY_NAME, PEER, Route, Server
from deployer.render.quote import haproxy_word

_SEEN_DOWN = " observe layer4 error-limit 1 on-error mark-down"


def deployment_config(route: Route) -> str:
    head = f"# Made by deployer for fleet id {route.fleet_id}: {route.deployment}\n"
    public = _backend(route, f"be_{route.deployment}", f"/{route.deployment}", route.fronts) if route.public else []
    peers = _backend(route, f"re_{route.deployment}", f"{PEER}/{route.deployment}", ()) if route.peers else []
    parts = [lines for lines in (public, peers, _metrics(route)) if lines]
    return head + "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _metrics(route: Route) -> list[str]:
    """An engine's own figures, for the listener that is not public."""
    if not route.metrics or not route.engines or route.stopped:
        return []
    slots = [(server, server.name.rpartition("-")[2]) for server in (*route.engines, *((route.canary,) if route.canary else ()))]
    paths = " ".join(f"/{route.deployment}/{slot}/metrics" for _, slot in slots)
    return [
        f"backend {haproxy_word('me_' + route.deployment)}",
        answer(404, "There is no such replica here.", "path_not_found", f"unless {{ path {paths} }}"),
        "    http-request set-var(txn.slot) path,field(3,/)",
        "    http-request set-path /metrics",
        *(f"    use-server {server.name} if {{ var(txn.slot) -m str {slot} }}" for server, slot in slots),
        *(f"    {limits.line(server._replace(at_once=None))}" for server, _ in slots),
    ]


def _backend(route: Route, name: str, prefix: str, fronts: tuple[Server, ...]) -> list[str]:
    servers = fronts or route.engines
    lines = [*limits.table(route, name), f"backend {haproxy_word(name)}"]
    if not route.stopped:
        lines += limits.some_up(name, servers)
    if prefix.startswith(PEER):
        lines += _up(route, prefix)
    else:
        lines += _fence(route)
    if route.stopped:
        what = f"The deployment {route.deployment} is stopped."
        return [*lines, answer(503, what, "deployment_stopped")]
    lines += [*_paths(route, prefix), *limits.refusals(route, name), *_target(route, prefix, fronts)]
    return [*lines, *_balance(route), *_canary(route, fronts), *_servers(route, fronts)]


def _up(route: Route, prefix: str) -> list[str]:
    """What another gateway's health check asks: no key, and no more than whether a replica is up. 404 makes it leave at
    once and let what runs there end (disable-on-404), 503 after several times.
    """

    def said(status: int, word: str, condition: str = "") -> str:
        answer = f"http-request return status {status} content-type text/plain string {word}"
        return f"    {answer} if {{ path {prefix}/up }}{condition}"

    if route.stopped:
        return [said(503, "stopped")]
    return [said(404, "leaving")] if route.leaving else [said(200, "up", " some_up"), said(503, "down")]


def _fence(route: Route) -> list[str]:
    if route.open:
        return []
    if route.keys_path is None:
        condition = "unless { src 127.0.0.0/8 ::1 }"
        what = "This endpoint has no keys and is served on its own host only."
        return [answer(403, what, "endpoint_is_local", condition)]
    wrong = "unless { var(txn.key) -m found }"
    missing = "No API key was sent. Send it as: Authorization: Bearer YOUR_KEY"
    return [
        f"    http-request set-var(txn.key) {KEY},map_str({haproxy_word(route.keys_path)})",
        answer(401, missing, "invalid_api_key", "unless { req.hdr(authorization) -m found }", WWW_Authenticate="Bearer"),
        answer(401, "The API key is wrong, or it was revoked.", "invalid_api_key", wrong, WWW_Authenticate="Bearer"),
    ]


def _paths(route: Route, prefix: str) -> list[str]:
    """Whole paths only, compared before anything is decoded or rewritten: what is not in the list does not get through."""
    allowed = " ".join(haproxy_word(prefix + path) for path in route.paths)
    return [
        f"    acl allowed path -m str {allowed}",
        answer(404, "There is no such path on this endpoint.", "path_not_found", "unless allowed"),
        # what was refused is logged whatever the deployment says
        *([] if route.log else ["    http-request set-log-level silent"]),
    ]


def _target(route: Route, prefix: str, fronts: tuple[Server, ...]) -> list[str]:
    target = f"{PEER}/{route.deployment}" if fronts else ""
    # a front trusts the gateway by its certificate, an engine has no key: neither needs to see the client's
    without = "    http-request del-header authorization"
    told = [f"    http-request set-header {KEY_NAME} %[var(txn.key)]"] if _asks_for_a_key(route, prefix) else []
    return [*_affinity(route, fronts), without, *told, f"    http-request replace-path ^{prefix}(/.*)$ {target}\\1"]


def _asks_for_a_key(route: Route, prefix: str) -> bool:
    return route.keys_path is not None and not route.open and prefix != f"{PEER}/{route.deployment}"


def _affinity(route: Route, fronts: tuple[Server, ...]) -> list[str]:
    """What requests must have in common to meet the same replica. A front cannot know who asked the gateway: it is told."""
    if route.affinity == "prefix":
        return [
            "    http-request wait-for-body time 5s at-least 1024",
            "    http-request set-var(txn.like) req.body,bytes(0,1024)",
        ]
    if route.affinity is None:
        return []
    key, named = "req.hdr(authorization)", "req.hdr(x-session-id)"
    told = "    http-request set-header x-session-id %[var(txn.like),digest(sha256),hex]"
    return [
        "    http-request set-var(txn.like) src",
        f"    http-request set-var(txn.like) {key},concat(/,txn.from) if {{ {key} -m found }}",
        f"    http-request set-var(txn.like) {named} if {{ {named} -m found }}",
        *([told] if fronts else []),
    ]


def _balance(route: Route) -> list[str]:
    """With an affinity, a replica that has half more than its share gets no more: caches are not worth a queue."""
    if route.affinity is None:
        return ["    balance leastconn"]
    return ["    balance hash var(txn.like)", "    hash-type consistent", "    hash-balance-factor 150"]


def _canary(route: Route, fronts: tuple[Server, ...]) -> list[str]:
    """The share by lot, or with an affinity by what requests have in common. With weight 0 nothing else goes there; where the
    canary is down its share goes to the others.
    """
    if route.canary is None or fronts:
        return []
    lot = "rand(100)" if route.affinity is None else "var(txn.like),xxh32,mod(100)"
    return [f"    use-server {haproxy_word(route.canary.name)} if {{ {lot} lt {route.share} }}"]


def _servers(route: Route, fronts: tuple[Server, ...]) -> list[str]:
    servers = fronts or route.engines
    health = f"{PEER}/{route.deployment}/up" if fronts else route.ready_path
    # a front may hold a request back itself before its replica begins
    held = route.limits.queue[1] if fronts and route.limits.queue else 0.0
    return [
        f"    timeout server {limits.duration(route.timeout_s + held)}",
        f"    option httpchk GET {health}",
        "    http-check expect status 200",
        *(["    http-check disable-on-404"] if fronts else []),
        # downinter: clients wait for a replica that came up no longer than the next look.
        # init-addr: a host whose name cannot be found must not keep the whole gateway from starting
        f"    default-server inter {CHECK_S if fronts else 2}s downinter 500ms fall 3 rise 1 init-addr last,libc,none",
        # a connection that an engine refuses says at once what the next checks would find
        *(f"    {limits.line(s)} check{'' if fronts else _SEEN_DOWN}" for s in servers),
        *([f"    {limits.line(route.canary)} check{_SEEN_DOWN} weight 0"] if route.canary and not fronts else []),
        *limits.waiting(route, servers),
    ]
