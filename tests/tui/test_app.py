"""The application as a whole: where it opens, how one moves between places, how one leaves."""

import gc

from textual.pilot import Pilot

from deployer.errors import DeployerError
from deployer.tui.app import DeployerApp
from deployer.tui.widgets.filterline import FilterLine
from deployer.tui.widgets.keybar import KeyBar
from tests.tui.conftest import see, shown, travel, until


def test_the_first_screen_names_hosts_and_deployments_and_q_leaves_with_0(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await see(pilot, "h1")
        await pilot.press("q")

    travel(app, journey)
    assert app.return_value == 0


def test_an_error_is_a_panel_with_the_next_step_and_esc_closes_it(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        app.wrong(DeployerError("the [/INST] did not [red] answer", where="h1", hint="deployer status"))
        await see(pilot, "the [/INST] did not [red] answer")
        assert "deployer status" in shown(pilot)
        await pilot.press("escape")
        await see(pilot, "h1")

    travel(app, journey)


def test_help_names_the_keys_of_this_place(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("question_mark")
        await see(pilot, "Keys: fleet")
        await see(pilot, "Filter")

    travel(app, journey)


def test_a_command_that_is_none_gets_the_nearest(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("colon", *"plam", "enter")
        await see(pilot, "did you mean :plan?")

    travel(app, journey)


def test_a_command_goes_to_its_place(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("colon", *"drift", "enter")
        await see(pilot, "nothing differs")
        await pilot.press("escape")
        await see(pilot, "h1")

    travel(app, journey)


def test_a_command_is_completed_and_what_could_be_meant_is_listed(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("colon")
        await see(pilot, "ask the hosts and review what would change")
        await pilot.press(*"dep", "tab", "space")
        await see(pilot, "deployment chat")  # the suggestion behind the cursor
        await pilot.press("tab", "enter")
        await see(pilot, "fleet › chat")

    travel(app, journey)


def test_themes_are_completed_by_name(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("colon", *"theme co")
        await see(pilot, "colour-blind-light")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.theme == "colour-blind")

    travel(app, journey)


def test_what_was_said_before_comes_back_with_up(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        for said in ("drift", "fleet"):
            await pilot.press("colon", *said, "enter")
            await until(pilot, lambda said=said: app.current_mode == said)
        await pilot.press("colon", "up", "up", "up", "down", "up", "enter")
        await until(pilot, lambda: app.current_mode == "drift")

    travel(app, journey)


def test_the_palette_lists_what_this_place_does_and_the_commands(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("ctrl+p")
        await see(pilot, ":deployment chat")
        assert "Filter" in shown(pilot)
        await pilot.press(*"drift")
        await see(pilot, ":drift")
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "drift")
        await pilot.press("ctrl+p", *"filter")
        await see(pilot, "key /")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, FilterLine))

    travel(app, journey)


def test_esc_goes_one_level_back_from_wherever_one_is(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("4", "slash", "x", "enter", "question_mark")
        await see(pilot, "Keys: drift")
        await pilot.press("escape")  # help
        await pilot.press("escape")  # the filter
        await until(pilot, lambda: app.screen.query_one(FilterLine).value == "")
        assert app.current_mode == "drift"
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "fleet")
        await pilot.press("escape")
        assert app.is_running

    travel(app, journey)


def test_the_key_bar_keeps_help_and_quit_when_there_is_little_room(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        bar = shown(pilot).splitlines()[-1]
        assert "? Help" in bar
        assert "q Quit" in bar
        assert "/ Filter" in bar
        assert ": Command" not in bar

    travel(app, journey, (60, 20))


def test_the_key_bar_makes_no_new_widget_however_often_the_focus_moves(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        before = len(app.screen.query("*"))
        for _ in range(20):
            await pilot.press("tab")
            app.screen.refresh_bindings()
        assert len(app.screen.query("*")) == before
        gc.collect()
        assert sum(1 for one in gc.get_objects() if isinstance(one, KeyBar) and one.app is app) <= 4  # one in each place

    travel(app, journey)
