"""One deployment's file: the backend that clients reach, and the front for gateways on other hosts."""

from deployer.render.gateway.answers import answer
from deployer.render.gateway.model import CHECK_S, PEER, Route, Server
from deployer.render.quote import haproxy_word

_KEY = "req.fhdr(authorization),regsub(^Bearer\\ +,,i),digest(sha256),hex,lower"


def deployment_config(route: Route) -> str:
    head = f"# Made by deployer for fleet id {route.fleet_id}: {route.deployment}\n"
    public = _backend(route, f"be_{route.deployment}", f"/{route.deployment}", route.fronts) if route.public else ""
    peers = _backend(route, f"re_{route.deployment}", f"{PEER}/{route.deployment}", ()) if route.peers else ""
    return head + "\n".join(part for part in (public, peers) if part)


def _backend(route: Route, name: str, prefix: str, fronts: tuple[Server, ...]) -> str:
    lines = [f"backend {haproxy_word(name)}"]
    if prefix.startswith(PEER):
        lines += _up(route, name, prefix)
    lines += _fence(route)
    if route.stopped:
        lines.append(answer(503, "This deployment is stopped.", "deployment_stopped").rstrip("\n"))
        return "\n".join(lines) + "\n"
    lines += _paths(route, prefix)
    lines += _servers(route, prefix, fronts)
    return "\n".join(lines) + "\n"


def _up(route: Route, name: str, prefix: str) -> list[str]:
    """What another gateway's health check asks: no key, and no more than whether a replica is up. 404 makes it leave at
    once and let what runs there end (disable-on-404), 503 after several times.
    """

    def said(status: int, word: str, condition: str = "") -> str:
        answer = f"http-request return status {status} content-type text/plain string {word}"
        return f"    {answer} if {{ path {prefix}/up }}{condition}"

    if route.leaving:
        return [said(404, "leaving")]
    return [said(200, "up", f" {{ nbsrv({name}) gt 0 }}"), said(503, "down")]


def _fence(route: Route) -> list[str]:
    if route.open:
        return []
    if route.keys_path is None:
        condition = "unless { src 127.0.0.0/8 ::1 }"
        what = "This endpoint has no keys and is served on its own host only."
        return [answer(403, what, "endpoint_is_local", condition).rstrip("\n")]
    return [
        f"    http-request set-var(txn.key) {_KEY},map_str({haproxy_word(route.keys_path)})",
        answer(401, "The API key is missing or wrong.", "invalid_api_key", "unless { var(txn.key) -m found }").rstrip("\n"),
    ]


def _paths(route: Route, prefix: str) -> list[str]:
    """Whole paths only, compared before anything is decoded or rewritten: what is not in the list does not get through."""
    allowed = " ".join(haproxy_word(prefix + path) for path in route.paths)
    return [
        f"    acl allowed path -m str {allowed}",
        answer(404, "There is no such path on this endpoint.", "path_not_found", "unless allowed").rstrip("\n"),
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
        *(["    http-check disable-on-404"] if fronts else []),
        # a host whose name cannot be found must not keep the whole gateway from starting
        f"    default-server check inter {CHECK_S if fronts else 2}s fall 3 rise 1 init-addr last,libc,none",
    ]
    return [
        *lines,
        *(f"    server {haproxy_word(s.name)} {haproxy_word(f'{s.address}:{s.port}')}" for s in fronts or route.engines),
    ]
