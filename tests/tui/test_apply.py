"""Watching an apply: what runs, waits and failed is in sight; pausing, stopping, leaving it, finding it again."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.app.values import Running
from deployer.errors import Refused
from deployer.execute.events import Event
from deployer.transport.fake import FakeHost
from deployer.transport.simulation.faults import Hold
from deployer.tui.app import DeployerApp
from deployer.tui.screens.apply import ApplyPlace
from deployer.tui.screens.plan import PlanPlace
from deployer.tui.widgets.logview import LogView
from deployer.tui.widgets.rowlist import RowList
from tests.tui.conftest import see, shown, travel, until

Hosts = dict[str, FakeHost]


@pytest.fixture(autouse=True)
def _keys_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pilot waits up to a second per key for a process that does nothing; hosts that poll never do nothing."""

    async def soon(*_: float) -> None:
        await asyncio.sleep(0.01)

    for module in ("pilot", "app"):
        monkeypatch.setattr(f"textual.{module}.wait_for_idle", soon)


@pytest.fixture
def held(hosts: Hosts) -> Iterator[Hold]:
    """The replica's start waits for us. What still runs at the end of the test ends with its host."""
    hold = hosts["h1"].faults.hold("unit.start")
    yield hold
    hold.release()
    hosts["h1"].reboot()


async def begin(pilot: Pilot[int], app: DeployerApp) -> None:
    """A plan is applied as it is."""
    await see(pilot, "chat")
    app.begin_apply(app.session.plan())
    await until(pilot, lambda: isinstance(app.screen, ApplyPlace), "the apply's place")


async def starting(pilot: Pilot[int], app: DeployerApp) -> None:
    await begin(pilot, app)
    await see(pilot, "▶ start chat/0")


def keys(app: DeployerApp) -> list[str]:
    return [row.key for row in app.screen.query_one("#steps", RowList).rows]


def steps_done(app: DeployerApp) -> int:
    assert app.session.operation is not None
    return app.session.operation.board.view(0).counts["done"]


def test_what_runs_is_on_top_what_waits_says_for_what_and_what_is_done_is_one_line(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        assert keys(app)[0].startswith("h1/chat.")
        assert keys(app)[1:] == ["wait:h1/chat", "fold:done"]
        assert "for start chat/0" in shown(pilot)
        done, most = steps_done(app), app.screen.query_one("#steps", RowList).rows
        assert f"✓ {done} steps done" in shown(pilot)
        await pilot.press("z")
        await until(pilot, lambda: len(keys(app)) == len(most) + done, "the steps that are done")
        assert keys(app)[0].startswith("h1/chat.")
        await pilot.press("z")
        held.release()
        await see(pilot, "✓ done: 2 hosts: 1 done, 1 unchanged")
        await see(pilot, "chat answers at http://192.0.2.1:8443/chat/v1")
        await see(pilot, "done       model local--tiny/5ef0e78a777b")  # of the host under the cursor
        await pilot.press("j")
        await see(pilot, "curl http://192.0.2.1:8443/chat/v1/chat/completions")

    travel(app, journey)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_steps_log_and_keys_are_in_sight_in_small_and_large_terminals(
    app: DeployerApp, held: Hold, size: tuple[int, int]
) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await see(pilot, "log: start chat/0 on h1")
        lines = shown(pilot).splitlines()
        assert re.search(r"\d+ of \d+ steps", lines[1])
        assert "▶ start" in lines[2], "the phase"
        assert any("start chat/0" in one and "running" in one and "0:0" in one for one in lines)
        assert "Stop safely" in lines[-1]

    travel(app, journey, size)


def test_where_there_is_no_room_for_the_log_enter_opens_it(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        assert "log: " not in shown(pilot)
        await until(pilot, lambda: app.screen.query_one(LogView).text(), "the log")
        await pilot.press("enter")
        await see(pilot, "start chat/0 on h1")
        await pilot.press("q")
        await until(pilot, lambda: re.search(r"\d+ of \d+ steps", shown(pilot)), "the steps")

    travel(app, journey, (80, 18))


def test_an_apply_that_ends_while_one_looks_elsewhere_is_told_of_until_it_is_seen(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("1")
        await see(pilot, "running · apply ")
        held.release()
        await see(pilot, ": done: 3")
        await pilot.press("3")
        await see(pilot, "✓ done")
        await pilot.press("1")
        await until(pilot, lambda: ": done: 3" not in shown(pilot), "the note has gone")

    travel(app, journey)


def test_what_is_refused_says_that_nothing_was_begun(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise Refused("the secret env:[TOKEN] is not at hand", hint="set it where you run deployer")

    monkeypatch.setattr("deployer.app.planned.Planned.apply", refused)

    async def journey(pilot: Pilot[int]) -> None:
        await begin(pilot, app)
        await see(pilot, "nothing was begun: the secret env:[TOKEN] is not at hand")
        await see(pilot, "set it where you run deployer")

    travel(app, journey)


def test_the_journal_of_an_engine_is_read_along(app: DeployerApp, hosts: Hosts) -> None:
    hosts["h1"].slow_engine("chat", "INFO template <s>[INST] {prompt} [/INST] [red]", "INFO up")
    hold = hosts["h1"].faults.hold("gateway.reload", "reload the gateway")

    async def journey(pilot: Pilot[int]) -> None:
        await begin(pilot, app)
        await see(pilot, "▶ reload the gateway")
        await pilot.press("z")
        await see(pilot, "z folds")
        rows = app.screen.query_one("#steps", RowList)
        rows.move_to_key(next(row.key for row in rows.rows if "chat/0 answers" in "".join(text for text, _ in row.left)))
        await see(pilot, "log: chat/0 answers on h1")
        await see(pilot, "INFO template <s>[INST] {prompt} [/INST] [red]")
        await pilot.press("slash", *"[/INST]", "enter")
        log = app.screen.query_one(LogView)
        await until(pilot, lambda: log.searched == "[/INST]" and log.has_focus, "the log, searched")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.focused, RowList), "the steps")
        assert log.searched == ""
        hold.release()
        await see(pilot, "✓ done")

    travel(app, journey)


def test_a_failure_is_first_and_the_end_says_cause_and_what_is_back(app: DeployerApp, hosts: Hosts) -> None:
    hosts["h1"].break_engine("chat", "RuntimeError: CUDA out of memory [/INST]")

    async def journey(pilot: Pilot[int]) -> None:
        await begin(pilot, app)
        await see(pilot, "✗ not all was done")
        assert keys(app)[0] == "failure:0"
        await see(pilot, "chat/0 did not become ready")
        await see(pilot, "what stood before is back")
        await see(pilot, "deployer logs chat --failure")
        await see(pilot, "RuntimeError: CUDA out of memory [/INST]")  # in the log of the row under the cursor
        assert "answers at" not in shown(pilot)

    travel(app, journey)


def test_p_begins_no_new_step_until_p_again(app: DeployerApp, hosts: Hosts, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("p")
        await see(pilot, "pausing: the running steps are finished first")
        held.release()
        await see(pilot, "paused: p goes on")
        await see(pilot, "for somebody to resume it")
        done = steps_done(app)
        await pilot.pause(0.3)
        assert steps_done(app) == done
        await pilot.press("p")
        await see(pilot, "✓ done")

    travel(app, journey)


def test_stopping_asks_and_only_another_key_than_s_or_enter_confirms(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("s")
        await see(pilot, "Stop this apply?")
        await pilot.press("s", "enter")
        await see(pilot, "Stop this apply?")
        operation = app.session.operation
        assert operation is not None
        assert operation.state == "running"
        await pilot.press("y")
        await see(pilot, "stopping: the running steps are finished")
        held.release()
        await see(pilot, "stopped at a step boundary")
        await see(pilot, "undone: chat")

    travel(app, journey)


def test_d_leaves_it_to_the_hosts_and_t_takes_it_up_again(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("D")
        await see(pilot, "left to the hosts: ")
        await see(pilot, "goes on alone")
        await pilot.press("t")
        await see(pilot, "start chat/0")
        assert keys(app)[1] == "wait:h1/chat"
        held.release()
        await see(pilot, "✓ done")

    travel(app, journey)


def test_a_ui_that_was_killed_finds_its_apply_when_it_starts_again(app: DeployerApp, loaded: Fleet, held: Hold) -> None:
    class Killed(BaseException):
        pass

    def die(event: Event) -> None:
        if event.label == "start chat/0":
            raise Killed

    with pytest.raises(Killed):
        loaded.plan().apply(on_event=die)
    loaded.close()

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "start chat/0")
        assert isinstance(app.screen, ApplyPlace)
        assert keys(app)[1:3] == ["wait:h1/chat", "fold:done"]
        held.release()
        await see(pilot, "✓ done")
        await see(pilot, "chat answers at")

    travel(app, journey)


def test_an_apply_of_somebody_else_is_told_of_and_t_attaches(app: DeployerApp, loaded: Fleet, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await until(pilot, lambda: app.now.status, "a status")
        with Fleet.load(loaded.root) as other:
            theirs = Session(other)
            operation = theirs.begin(theirs.plan())
            await see(pilot, f"an apply by {other.who} is running")
            await pilot.press("3")
            await see(pilot, "t attaches to it")
            await pilot.press("t")
            await see(pilot, "start chat/0")
            held.release()
            await see(pilot, "✓ done")
            assert operation.wait(20)
            assert operation.state == "done"

    travel(app, journey)


def test_of_several_applies_one_is_chosen(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    several = [Running(f"r{n}", who, "2026-01-01T12:00:00Z", f"p{n}", {"h1": f"r{n}"}) for n, who in ((1, "ann"), (2, "[bob]"))]
    chosen: list[str] = []
    monkeypatch.setattr(app.session, "running", lambda: several)
    monkeypatch.setattr(app.session, "find_running", lambda: None)
    monkeypatch.setattr(app.session, "attach", lambda one: chosen.append(one.run))

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("3", "t")
        await see(pilot, "Which apply?")
        await see(pilot, "[bob]")
        await pilot.press("j", "enter")
        await until(pilot, lambda: chosen == ["r2"], "the second")

    travel(app, journey)


def test_a_host_whose_connection_breaks_is_said_and_followed_on(app: DeployerApp, hosts: Hosts, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        hosts["h1"].unreachable = "timeout"
        hosts["h1"].drop()
        await see(pilot, "connection lost, trying again; its run goes on there")
        hosts["h1"].unreachable = None
        held.release()
        await see(pilot, "✓ done")

    travel(app, journey)


def test_leaving_asks_q_again_does_nothing_and_d_leaves_with_0(app: DeployerApp, hosts: Hosts, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("q")
        await see(pilot, "An apply is running")
        await pilot.press("q", "enter")
        await see(pilot, "An apply is running")
        await pilot.press("escape")
        await see(pilot, "log: start chat/0")
        await pilot.press("q", "d")

    travel(app, journey)
    assert app.return_value == 0
    held.release()
    assert [one.hosts for one in app.session.fleet.running()]


def test_leaving_with_s_stops_it_and_stays_until_it_has_stopped(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("1", "q", "s")
        await see(pilot, "stopping: the running steps are finished")
        held.release()
        await see(pilot, "stopped at a step boundary")

    travel(app, journey)


def test_after_the_end_the_plan_is_made_anew(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await begin(pilot, app)
        await see(pilot, "✓ done")
        await pilot.press("2")
        await until(pilot, lambda: app.session.planned is not None and app.session.planned.plan.empty, "a new plan")
        assert isinstance(app.screen, PlanPlace)
        planned = app.session.planned
        await pilot.press("3", "2")
        await pilot.pause(0.1)
        assert app.session.planned is planned

    travel(app, journey)


def test_who_may_only_look_begins_nothing(loaded: Fleet, hosts: Hosts) -> None:
    app = DeployerApp(Session(loaded, read_only=True), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("3", "t", "p", "s", "D")
        await see(pilot, "no apply runs here")

    travel(app, journey)


def test_esc_goes_from_the_log_to_the_steps_and_the_log_keeps_what_one_reads(app: DeployerApp, held: Hold) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await starting(pilot, app)
        await pilot.press("enter")
        assert isinstance(app.focused, LogView)
        await pilot.press("escape")
        assert isinstance(app.focused, RowList)

    travel(app, journey)
