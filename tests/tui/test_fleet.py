"""The first place: deployments, and hosts with their GPUs, as they are now."""

import asyncio
import gc
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from textual.geometry import Region
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.looker import Looker
from deployer.app.looking import Figures
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
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
        await see(pilot, "1/2 hosts")
        session.hear([host("h1"), host("h2")], [deployment("chat")])
        await until(pilot, lambda: "last seen" not in shown(pilot), "the host back")

    travel(app, journey)


class Quick(Session):
    """As it is, but it gives a host up sooner."""

    def watch(self, every_s: float = 1.0) -> None:
        self._looker = Looker(self.fleet, every_s, deadline_s=0.5, probe_every_s=0.05)
        self._looker.start()


def test_over_hosts_that_run_our_agent_one_is_cut_off_dimmed_and_back(loaded: Fleet, hosts: dict[str, FakeHost]) -> None:
    for one in hosts.values():
        one.machine.beats.real_s = 0.01
    hosts["h2"].set_gpu(1, utilization=77, memory_used=50 << 30, temperature=72)
    assert loaded.apply().exit_code == 0
    app = DeployerApp(Quick(loaded), tick_s=0.02)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        await see(pilot, "77%▲")
        assert "50/80" in row_of(pilot, "77%▲")
        assert "72°▲" in row_of(pilot, "77%▲")
        hosts["h2"].cut()
        await see(pilot, "✗ unreachable  last seen ")
        assert "timed out" in row_of(pilot, "unreachable")
        assert "77%▲" in shown(pilot), "its last figures stay"
        await see(pilot, "1/2 hosts")
        hosts["h2"].heal()
        await until(pilot, lambda: "unreachable" not in shown(pilot), "the host back")
        await see(pilot, "2/2 hosts")

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


def test_the_map_takes_hundreds_of_gpus_and_h_and_l_go_from_host_to_host(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        many = [host(f"gpu-{n:03}", gpus=8) for n in range(100)]
        session.hear(many, [deployment("chat")])
        await see(pilot, "HOSTS x GPUS")
        assert "gpu-099" in shown(pilot), "800 GPUs should be in sight at once"
        await pilot.press("tab", "l", "enter")
        await see(pilot, "│ gpu-001 ")

    travel(app, journey, (120, 40))


def test_the_cursor_stays_on_its_row_and_its_line_when_other_rows_come_and_go(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        some = [host(f"a{n:02}") for n in range(24)]
        session.hear([*some, host("h1"), host("h2")], [deployment("chat")])
        await see(pilot, "a00")
        await pilot.press("tab", "G", "k", "k", "k")
        rows = hosts_list(app)
        assert rows.current is not None
        assert rows.current.key == "h1/0"
        line = rows.cursor - int(rows.scroll_y)
        session.hear([replace(some[0], state="lost", heard_s=9.0), *some[1:], host("h1"), host("h2")], [deployment("chat")])
        await until(pilot, lambda: len(rows.rows) == 53, "a line more: a host is lost")
        await pilot.pause()
        assert rows.current.key == "h1/0"
        assert rows.cursor - int(rows.scroll_y) == line
        session.hear([*some[3:], host("h1"), host("h2")], [deployment("chat")])
        await until(pilot, lambda: len(rows.rows) == 46, "fewer hosts")
        await pilot.pause()
        assert rows.current.key == "h1/0"
        assert rows.cursor - int(rows.scroll_y) == line

    travel(app, journey)


def test_in_80_by_24_both_lists_and_their_important_columns_are_there(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        assert all(len(one) <= 80 for one in shown(pilot).splitlines())
        for word in ("REPL", "REQ/S", "TTFT p95", "WHERE", "h1:0 h2:1", "UTIL", "GiB", "TEMP", "REPLICA", "2/2 hosts"):
            assert word in shown(pilot)
        assert len(hosts_list(app).rows) == 4
        assert row_of(pilot, "? Help") or row_of(pilot, "Filter")

    travel(app, journey, (80, 24))


def test_names_with_markup_in_them_are_shown_as_they_are(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        odd = replace(host("h1"), gpus=(gpu("h1", 0, name="[red]H100", replica="[/INST]/0"),))
        bad = replace(host("h2", gpus=0), state="unreachable", error="[bold]no[/bold] route")
        session.hear([odd, bad], [deployment("[red]", "failed", reason="[/INST] is missing")])
        await see(pilot, "[red]  ")
        for text in ("[/INST] is missing", "[bold]no[/bold] route", "[red]H100", "[/INST]/0"):
            assert text in shown(pilot), shown(pilot)
        await pilot.press("tab", "enter")
        await see(pilot, "│ state")
        assert "[red]H100" in shown(pilot)

    travel(app, journey, (160, 40))


def test_the_filter_narrows_both_lists_and_esc_brings_all_back(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        await pilot.press("tab", "slash", *"host:h1")
        await until(pilot, lambda: "embed" not in shown(pilot), "only what is on h1")
        assert [row.key for row in hosts_list(app).rows] == ["h1/0", "h1/1"]
        await pilot.press("enter")
        assert app.focused is hosts_list(app)
        await pilot.press("escape")
        await see(pilot, "embed")
        await pilot.press("slash", *"state:starting")
        await until(pilot, lambda: "chat" not in shown(pilot), "only what starts")
        await see(pilot, "nothing fits the filter")

    travel(app, journey)


def test_pausing_keeps_the_picture_and_says_so(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        await pilot.press("p")
        await see(pilot, "|| paused")
        session.hear([host("h1")], [deployment("other")])
        await see(pilot, "1/1 hosts")
        assert "embed" in shown(pilot)
        await pilot.press("p")
        await see(pilot, "other")
        assert "paused" not in shown(pilot)

    travel(app, journey)


def test_o_orders_by_what_needs_a_person_and_by_load(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        idle, busy = (replace(host(name), gpus=(gpu(name, 0, used=used),)) for name, used in (("h1", 0), ("h2", 100)))
        idle, busy = (replace(h, gpus=(replace(h.gpus[0], history=(h.gpus[0].sample.utilization,) * 60),)) for h in (idle, busy))
        gone = replace(host("h3", gpus=0), state="unreachable")
        session.hear([idle, busy, gone], [deployment("a"), deployment("b", "failed", reason="no")])
        await see(pilot, "✗ failed")
        assert [row.key for row in hosts_list(app).rows] == ["h1/0", "h2/0", "h3/"]
        await pilot.press("o")
        assert [row.key for row in hosts_list(app).rows] == ["h3/", "h1/0", "h2/0"]
        assert app.screen.query_one("#deployments", RowList).rows[0].key == "b"
        await pilot.press("o")
        assert [row.key for row in hosts_list(app).rows][0] == "h2/0"

    travel(app, journey)


def test_what_a_deployment_needs_a_person_to_know_stands_below_it_or_beside_it(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        held = {"kind": "stopped", "who": "ann", "at": "2020-01-01T00:00:00+00:00", "why": "saves power"}
        told = [
            deployment("broken", "failed", "h1:0", reason="model file missing"),
            deployment("draft", "stopped", hold=held),
            deployment("old", "deployed", "h2:0", orphan=True),
        ]
        session.hear([host("h1"), host("h2")], told)
        await see(pilot, "✗ model file missing")
        await see(pilot, "draft")  # the list has its height after the next layout
        assert "stopped by ann, " in row_of(pilot, "draft")
        assert "(saves power)" in row_of(pilot, "draft")
        assert "in no file" in row_of(pilot, "old")
        await pilot.press("g", "j")
        assert app.screen.query_one("#deployments", RowList).cursor == 2, "the cursor should pass the reason by"

    travel(app, journey, (160, 40))


def test_enter_on_a_host_tells_all_of_it_and_what_to_do(app: DeployerApp, session: Looking) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        session.hear(
            [host("h1"), replace(host("h2"), state="lost", heard_s=70.0, error="timed out", hint="deployer hosts probe h2")],
            [deployment("chat", "deployed", "h1:0", "h2:1")],
        )
        await see(pilot, "last seen 1m10s ago")
        await pilot.press("tab", "enter")
        await see(pilot, "chat/0  ● deployed")
        for word in ("192.0.2.1", "50% working", "66/80 GiB", "60° cool"):
            assert word in shown(pilot)
        await until(pilot, lambda: row_of(pilot, "system") and "asking" not in row_of(pilot, "system"), "what a probe tells")
        assert "Python" in row_of(pilot, "system")
        await pilot.press("escape", "G", "enter")
        await see(pilot, "deployer hosts probe h2")
        assert "timed out" in row_of(pilot, "why")

    travel(app, journey)


def test_s_lends_the_terminal_to_ssh_and_comes_back(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(argv: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 255)

    monkeypatch.setattr("deployer.tui.shell.subprocess.run", run)
    monkeypatch.setattr(DeployerApp, "suspend", lambda self: nullcontext())

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        await pilot.press("tab", "G", "s")
        await see(pilot, "ssh did not get through")
        assert ran == [["ssh", "192.0.2.2"]]
        assert "by hand: ssh 192.0.2.2" in shown(pilot)

    travel(app, journey)


def test_where_nothing_may_be_changed_no_shell_opens_and_nothing_is_written(
    session: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.read_only = True
    monkeypatch.setattr("deployer.tui.shell.subprocess.run", lambda *_, **__: pytest.fail("a shell was opened"))
    app = DeployerApp(session, tick_s=0.02)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "read-only")
        await pilot.press("n", "tab", "s")
        assert app.screen.check_action("new", ()) is None
        assert app.screen.check_action("shell", ()) is None
        assert len(app.screen_stack) == 1

    travel(app, journey)


def test_a_day_of_going_from_list_to_list_leaves_nothing_behind(app: DeployerApp) -> None:
    def living() -> tuple[int, int]:
        gc.collect()
        return len(gc.get_objects()), len(app.screen.walk_children())

    async def changes(pilot: Pilot[int], count: int) -> None:
        for number in range(count):
            app.screen.focus_next()
            await asyncio.sleep(0)
            app.screen.refresh_bindings()
            if number % 10 == 0:
                await pilot.pause(0)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        await changes(pilot, 30)
        grown = []
        for _ in range(3):  # what the app asks meanwhile is kept too, but not every time
            objects, widgets = living()
            await changes(pilot, 120)
            after, widgets_after = living()
            assert widgets_after == widgets
            grown.append(after - objects)
        assert min(grown) < 240, "less than two objects for each change of focus"

    travel(app, journey)


def test_only_cells_that_look_different_are_painted_again(
    app: DeployerApp, session: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[Region] = []
    refresh = RowList.refresh

    def watched(self: RowList, *regions: Region, **more: Any) -> RowList:
        painted.extend(regions or [Region(0, 0, self.size.width, self.size.height)])
        return refresh(self, *regions, **more)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "● deployed")
        same = [deployment("chat", "deployed", "h1:0", "h2:1"), deployment("embed", "starting", "h2:0")]
        figures = {"chat": Figures(12.4, 0.64, 1474.0, 0.61, 3, 17), "embed": Figures(phase="loading shards 5 of 15")}
        monkeypatch.setattr(RowList, "refresh", watched)
        warmer = replace(host("h2"), gpus=(gpu("h2", 0), gpu("h2", 1, temperature=88)))
        session.hear([host("h1"), warmer], same, **figures)
        await see(pilot, "88°✗")
        assert len(painted) == 1, painted
        assert painted[0].height == 1
        assert painted[0].width <= 6, "only the temperature's cells"

    travel(app, journey)
