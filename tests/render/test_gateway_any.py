"""Whatever the files say, HAProxy takes the configuration that is made of it, without a warning."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deployer.render.gateway import GatewayConfig, Limits, Route, Server
from tests.certificates import made
from tests.render.conftest import Gateway

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
MODELS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)
PORTS = st.integers(1, 65535)
SERVERS = st.lists(PORTS, max_size=4).map(
    lambda ports: tuple(Server(f"replica-{n}", "127.0.0.1", p) for n, p in enumerate(ports))
)
LIMITS = st.builds(
    Limits,
    rate=st.none() | st.tuples(st.integers(1, 10**9), st.sampled_from([1.0, 60.0, 3600.0, 86400.0])),
    max_body=st.none() | st.integers(1, 2**50),
    queue=st.none() | st.tuples(st.integers(1, 100_000), st.floats(0.0001, 86400 * 100)),
)


@st.composite
def routes(draw: st.DrawFn) -> list[dict[str, object]]:
    one = st.fixed_dictionaries(
        {
            "deployment": NAMES,
            "engines": SERVERS,
            "keyed": st.booleans(),
            "open": st.booleans(),
            "stopped": st.booleans(),
            "leaving": st.booleans(),
            "crosses": st.booleans(),
            "public": st.booleans(),
            "timeout_s": st.floats(0.0001, 86400 * 100),
            "log": st.booleans(),
            "limits": LIMITS,
            "affinity": st.sampled_from([None, "session", "prefix"]),
            "model_names": st.lists(MODELS, max_size=3).map(tuple),
            "at_once": st.none() | st.integers(1, 65536),
        }
    )
    return draw(st.lists(one, max_size=3, unique_by=lambda route: str(route["deployment"])))


def placed(gateway: Gateway, front: Server, fields: dict[str, object]) -> Route:
    crosses, keyed, at_once = fields.pop("crosses"), fields.pop("keyed"), fields.pop("at_once")
    name = str(fields["deployment"])
    keys = gateway.folder / f"{name}.keys"
    keys.write_text(f"{'a' * 64} team-a\n")
    engines = tuple(Server(s.name, s.address, s.port, at_once) for s in fields.pop("engines"))  # type: ignore[attr-defined, arg-type]
    return Route(
        fleet_id="7f3a9c21",
        engines=engines,
        paths=("/v1/models", "/v1/completions"),
        keys_path=str(keys) if keyed else None,
        fronts=(front,) if crosses else (),
        peers=bool(crosses),
        entries_path=str(gateway.folder / "all.entries"),
        metrics=True,
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.timeout(180)
@settings(max_examples=12, phases=(Phase.explicit, Phase.generate))
@given(drawn=routes(), tls=st.booleans(), allow=st.lists(st.sampled_from(["10.0.0.0/8", "1.2.3.4"]), max_size=2))
def test_haproxy_takes_it(drawn: Sequence[dict[str, object]], tls: bool, allow: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder) / "gateway", 1)
        gateway.folder.mkdir()
        front = gateway.with_peers()
        config = GatewayConfig("acme", "7f3a9c21", ("127.0.0.1:1",), tls, "*:2", "*:3", tuple(allow))
        certificate = gateway.folder / "tls.pem"
        certificate.write_text("".join(CERTIFICATE))
        gateway.base(config, lambda text: gateway.placed(text).replace("/etc/deployer/acme/_gateway/tls.pem", str(certificate)))
        gateway.write(*(placed(gateway, front, dict(fields)) for fields in drawn))
        gateway.check()


CERTIFICATE = made("gw.acme.lan")
