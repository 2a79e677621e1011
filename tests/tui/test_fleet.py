"""The first place: deployments, and hosts with their GPUs, as they are now."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.looking import Figures
from deployer.tui.app import DeployerApp
from deployer.tui.widgets.rowlist import RowList
from tests.tui.conftest import see, shown, travel, until
from tests.tui.fleets import Looking, deployment, gpu, host


@pytest.fixture
def session(loaded: Fleet) -> Looking:
    found = Looking(loaded)
    found.hear(
        [host("h1"), host("h2")],
        [deployment("chat", "deployed", "h1:0", "h2:1"), deployment("embed", "starting", "h2:0")],
        chat=Figures(12.4, 0.64, 1474.0, 0.61, 3, 17),
        embed=Figures(phase="loading shards 5 of 15"),
    )
    return found


@pytest.fixture
def app(session: Looking) -> DeployerApp:
    return DeployerApp(session, tick_s=0.02)


def row_of(pilot: Pilot[int], text: str) -> str:
    return next((one for one in shown(pilot).splitlines() if text in one), "")


def hosts_list(app: DeployerApp) -> RowList:
    return app.screen.query_one("#hosts", RowList)


def test_deployments_and_gpus_are_told_with_their_figures(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        told = row_of(pilot, "chat")
        for word in ("14", "2/2", "12.4", "640 ms", "1474", "61%", "3", "h1:0 h2:1"):
            assert word in told, told
        assert "loading shards 5 of 15" in row_of(pilot, "embed")
        first = row_of(pilot, "● up")
        for word in ("0", "H100", "50%", "66/80", "60°"):
            assert word in first, first
        for word in ("2/2 hosts", "4 GPUs", "util 50%", "1 ok", "1 starting", "live"):
            assert word in row_of(pilot, "acme"), row_of(pilot, "acme")

    travel(app, journey)


def test_a_host_that_is_cut_is_dimmed_with_its_last_figures_and_when_it_was_seen(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "2/2 hosts")
        cut = host("h2", state="lost", heard_s=134.0, error="timed out after 5 s")
        session.hear([host("h1"), cut], [deployment("chat")])
        await see(pilot, "? lost  last seen 2m14s ago: timed out after 5 s")
        rows = hosts_list(app)
        stale = next(row for row in rows.rows if row.key == "h2/0")
        assert "66/80" in "".join(text for text, _ in stale.left)
        assert {role for _, role in stale.left} <= {"dim", ""}
        assert "1/2 hosts" in shown(pilot)
        session.hear([host("h1"), host("h2")], [deployment("chat")])
        await until(pilot, lambda: "last seen" not in shown(pilot), "the host back")

    travel(app, journey)


def test_v_goes_through_a_row_per_gpu_a_row_per_host_and_a_map(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        uses = (0, 30, 60, 100)
        gpus = tuple(gpu("h1", n, used=used) for n, used in enumerate(uses))
        session.hear([replace(host("h1"), gpus=gpus), host("h2")], [deployment("chat")])
        await see(pilot, "LAST ")
        await pilot.press("v")
        await see(pilot, "▁▃▅█")
        assert "LAST " not in shown(pilot)
        await pilot.press("v")
        await see(pilot, "HOSTS x GPUS")
        assert "h1 ▁▃▅█" in shown(pilot)
        assert "busy from 75%" in shown(pilot)
        await pilot.press("v")
        await see(pilot, "LAST ")

    travel(app, journey)
