"""Targets for Prometheus and a dashboard for Grafana, from a fleet and its roster."""

import json

import pytest

from deployer.execute.scraping import dashboard, targets
from deployer.plan.roster import Place, Roster
from deployer.spec.models import FleetSpec, GatewaySpec, HostSpec, Scrape

PLACES = (Place("chat", 0, "h1", 20000, ()), Place("chat", 1, "h2", 20000, ()), Place("gone", 0, "h9", 20001, ()))


def fleet(scrape: Scrape | None) -> FleetSpec:
    hosts = {n: HostSpec(name=n, address=f"10.0.0.{n[1:]}") for n in ("h1", "h2", "h3", "h4")}
    return FleetSpec(id="0123abcd", name="acme", gateway=GatewaySpec(metrics=scrape, hosts=("h3",)), hosts=hosts)


def test_every_gateway_and_every_replica_is_a_target() -> None:
    found = targets(fleet(Scrape(allow=("10.0.0.0/8",))), Roster(places=PLACES))
    assert [(t["targets"], t["labels"]["job"], t["labels"]["__metrics_path__"]) for t in found] == [
        (["10.0.0.1:9404"], "gateway", "/metrics"),
        (["10.0.0.2:9404"], "gateway", "/metrics"),
        (["10.0.0.3:9404"], "gateway", "/metrics"),
        (["10.0.0.1:9404"], "engine", "/chat/0/metrics"),
        (["10.0.0.2:9404"], "engine", "/chat/1/metrics"),
    ]
    assert all(isinstance(value, str) for t in found for value in t["labels"].values())


def test_a_fleet_that_shows_no_figures_has_no_targets() -> None:
    assert targets(fleet(None), Roster(places=PLACES)) == []


@pytest.mark.parametrize("panel", dashboard(fleet(None))["panels"], ids=lambda panel: str(panel["title"]))
def test_every_panel_asks_for_this_fleet_alone(panel: dict[str, object]) -> None:
    text = json.dumps(panel)
    assert text.count("fleet=") == 1
    expression = json.loads(text)["targets"][0]["expr"]
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}") == 1
