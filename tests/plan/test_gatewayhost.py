"""Gateways of several hosts: whom each of them trusts, and when that changes a host."""

from typing import Any

from deployer.agent.wire import certificate_digest
from deployer.plan.gatewayhost import named_gateways, peers
from deployer.plan.make import make_plan
from deployer.plan.model import Change, Plan
from deployer.spec.models import ApiKey, EndpointSpec, GatewaySpec, Placement
from tests.plan.worlds import WorldMaker, deployment, host, probe

KEYS = EndpointSpec(keys=(ApiKey(name="team-a", sha256="a" * 64),))


def fleet(endpoint: EndpointSpec = KEYS) -> WorldMaker:
    """h1 carries the endpoint, h2 has the replica."""
    hosts = [host("h1", gateway=True), host("h2"), host("h3")]
    chat = deployment(endpoint=endpoint, placement=Placement(hosts=("h2",)))
    return WorldMaker([chat], hosts, {name: probe(name) for name in ("h1", "h2", "h3")})


def gateway(plan: Plan, name: str) -> Change:
    return next(c for c in plan.changes if c.host == name and c.name == "gateway")


def certified(maker: WorldMaker, **certificates: str) -> None:
    """What probes say after a run has made and exchanged certificates."""
    for name, found in maker.probes.items():
        known = {other: certificate_digest(text) for other, text in certificates.items()}
        found["peer"] = {"certificate": certificates.get(name), "known": known}


def payload(change: Change) -> dict[str, Any]:
    assert change.after is not None
    return dict(change.after.payload)


def test_a_named_gateway_meets_every_host_and_every_host_meets_the_named_ones() -> None:
    world = fleet().world()
    assert [peers(world, name, named_gateways(world)) for name in ("h1", "h2", "h3")] == [("h2", "h3"), ("h1",), ("h1",)]


def test_a_fleet_without_a_named_gateway_has_no_port_for_peers() -> None:
    plan = make_plan(WorldMaker().world())
    assert "peer_port" not in payload(gateway(plan, "h1"))


def test_hosts_need_neither_keys_nor_an_open_endpoint_to_reach_each_other() -> None:
    maker = fleet(EndpointSpec())
    plan = make_plan(maker.world())
    assert plan.refusals == ()
    [front] = [c for c in plan.changes if c.host == "h2" and c.kind == "endpoint"]
    assert "endpoint_is_local" not in payload(front)["files"][0]["content"]


def test_keys_lie_only_where_clients_come_in() -> None:
    plan = make_plan(fleet().world())
    routes = {c.host: payload(c) for c in plan.changes if c.kind == "endpoint"}
    assert [key["name"] for key in routes["h1"]["keys"]] == ["team-a"]
    assert routes["h2"]["keys"] == []


def test_a_fleet_that_stands_and_knows_its_certificates_has_nothing_to_change() -> None:
    maker = fleet()
    maker.done(make_plan(maker.world()))
    assert make_plan(maker.world()).changes == ()
    certified(maker, h1="one", h2="two")
    assert make_plan(maker.world()).changes == (), "what the run exchanged is no news"


def test_a_host_that_was_reinstalled_brings_its_new_certificate_to_the_gateways() -> None:
    maker = fleet()
    certified(maker, h1="one", h2="two")
    maker.done(make_plan(maker.world()))
    maker.probes["h2"]["peer"]["certificate"] = "another"
    [change] = make_plan(maker.world()).changes
    assert (change.host, change.name, [d.name for d in change.deltas]) == ("h1", "gateway", ["peers"])
    assert payload(change)["peers"]["h2"] == "another"


def test_a_host_that_does_not_answer_keeps_its_certificate_at_the_gateways() -> None:
    maker = fleet()
    certified(maker, h1="one", h2="two", h3="three")
    maker.done(make_plan(maker.world()))
    maker.probes.pop("h3")
    assert make_plan(maker.world()).changes == ()


def test_the_port_for_peers_is_the_next_one_or_as_said() -> None:
    maker = fleet()
    assert payload(gateway(make_plan(maker.world()), "h2"))["peer_port"] == 8444
    maker.extra["gateway"] = GatewaySpec(peer_port=9000)
    plan = make_plan(maker.world())
    assert payload(gateway(plan, "h2"))["peer_port"] == 9000
    [route] = [c for c in plan.changes if c.host == "h1" and c.kind == "endpoint"]
    assert ":9000 ssl" in payload(route)["files"][0]["content"]


def test_a_port_for_peers_that_is_taken_is_refused() -> None:
    maker = fleet()
    maker.probes["h2"]["listening"] = [{"port": 8444, "unit": None}]
    (refusal,) = make_plan(maker.world()).refusals
    assert "port 8444 of h2" in refusal.what
    assert "peer_port" in (refusal.hint or "")
