"""The application as a whole: where it opens, how one moves between places, how one leaves."""

from textual.pilot import Pilot

from deployer.errors import DeployerError
from deployer.tui.app import DeployerApp
from tests.tui.conftest import see, shown, travel


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
