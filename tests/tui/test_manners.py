"""Manners: keys of one's own, themes, faults that are panels, a password that is asked for, leaving."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from deployer.app import preferences
from deployer.app.fleet import Fleet
from deployer.app.preferences import Preferences
from deployer.app.session import Session
from deployer.errors import DeployerError, Problem, SpecError, UsageError
from deployer.tui import keys, themes
from deployer.tui.app import DeployerApp
from deployer.tui.screens.fleet import FleetPlace
from deployer.tui.widgets.rowlist import RowList
from deployer.tui.widgets.topline import TopLine
from tests.tui.conftest import see, shown, travel, until

Start = Callable[..., DeployerApp]


@pytest.fixture
def start(loaded: Fleet) -> Start:
    def made(**likes: Any) -> DeployerApp:
        return DeployerApp(Session(loaded), preferences=Preferences(**likes), tick_s=0.05)

    return made


def test_a_key_given_in_ui_yaml_works_in_place_of_ours_and_help_and_key_bar_show_it(start: Start) -> None:
    app = start(keys={"drift": "f8", "help": "f1"})

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "f8 Drift")
        await pilot.press("4")
        assert app.current_mode == "fleet"
        await pilot.press("f8")
        await until(pilot, lambda: app.current_mode == "drift")
        await pilot.press("f1")
        await see(pilot, "Keys: drift")
        assert "f8  Drift" in shown(pilot)

    travel(app, journey, (200, 50))


def test_a_key_for_nothing_is_said_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="nothing is called driftt") as caught:
        keys.check({"driftt": "d"}, "ui.yaml")
    assert caught.value.where == "ui.yaml"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean drift?")
    assert "filter, filter.clear, fleet" in caught.value.hint


def test_a_key_that_would_do_two_things_in_one_place_is_refused() -> None:
    with pytest.raises(UsageError, match=r"slash would mean .*filter.* and drift \(Drift\) in") as caught:
        keys.check({"drift": "/"})
    assert caught.value.hint == "give one of them another key"
    keys.check({"drift": "/", "filter": "ctrl+f"})  # both changed: no clash
    keys.check({"drift": "f8,?", "help": "f1"})


@pytest.mark.parametrize("key", ["ctr+x", "entre", "ctrl+foo"])
def test_a_key_that_no_keyboard_has_is_said(key: str) -> None:
    with pytest.raises(UsageError, match="no key is called"):
        keys.check({"drift": key})


def test_ui_yaml_that_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "ui.yaml"
    for text, said in {
        "them: dark": "it has no 'them'",
        "keys: {plan: 2}": 'keys.plan: write the key in quotes: "2"',
        "- dark": "it must be a mapping",
        "theme: [": "it is not YAML",
        "refresh_s: 0.1": "refresh_s: Input should be greater",
    }.items():
        file.write_text(text)
        with pytest.raises(UsageError) as caught:
            preferences.read(file)
        assert caught.value.what.startswith(said)
        assert caught.value.where == str(file)


@pytest.mark.parametrize("theme", ["light", "terminal", "colour-blind", "high-contrast"])
def test_a_theme_is_taken_by_its_short_word(start: Start, theme: str) -> None:
    app = start(theme=theme)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        assert app.theme == themes.full(app, theme)
        await pilot.press("colon", *"theme dark", "enter")
        await until(pilot, lambda: app.theme == "textual-dark")

    travel(app, journey)


def test_a_theme_that_there_is_not_ends_the_start_with_what_there_is(start: Start) -> None:
    with pytest.raises(UsageError, match="there is no theme drak") as caught:
        themes.full(start(), "drak")
    assert "did you mean dark? there is: dark, light, terminal" in str(caught.value.hint)


def test_a_fault_in_a_handler_is_a_panel_and_the_place_goes_on(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: FleetPlace, text: str) -> None:
        if text:
            raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(FleetPlace, "filtered", broken)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("slash", "c")
        await see(pilot, "deployer failed: ZeroDivisionError")
        assert "Traceback" not in shown(pilot)
        app.fault = None
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not app.screen.has_class("-fault"))
        await pilot.press("j", "4")  # the place below still hears keys
        await until(pilot, lambda: app.current_mode == "drift")

    travel(app, journey)


def test_a_fault_of_a_thread_is_a_panel_too(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        app.job(lambda: {}["nothing"], print)
        await see(pilot, "deployer failed: KeyError")
        app.fault = None
        await pilot.press("escape")
        threading.Thread(target=lambda: [][1]).start()
        await see(pilot, "deployer failed: IndexError")
        app.fault = None

    travel(app, journey)


def test_a_fault_at_every_drawing_ends_with_code_1_and_its_message(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")

        def broken(self: RowList, y: int) -> None:
            raise ZeroDivisionError("division by zero")

        monkeypatch.setattr(RowList, "render_line", broken)
        while not app._exit:
            for rows in app.query(RowList):
                rows.refresh()
            await asyncio.sleep(0.01)
        assert app.fault is not None
        said.append(app.fault.what)
        app.fault = None

    travel(app, journey)
    assert app.return_value == 1
    assert said[0].startswith("deployer failed: ZeroDivisionError")


def test_a_fault_at_start_ends_with_code_1(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.tui.themes.full", lambda *_: {}["theme"])
    assert asyncio.run(app.run_async(headless=True, size=(80, 24))) == 1
    assert app.fault is not None


def test_all_problems_of_wrong_files_are_shown_with_their_lines_and_carets(app: DeployerApp) -> None:
    problems = [
        Problem(
            "deployments/chat.yaml",
            9,
            7,
            "engine.vllm has no 'max_modl_len'",
            "did you mean max_model_len?",
            "      max_modl_len: 1",
            12,
        ),
        Problem("hosts/h1.yaml", 4, 8, "port must be a whole number", None, 'port:  "[/INST]"', 9),
    ]

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        app.wrong(SpecError(problems))
        await see(pilot, "2 problems in 2 files")
        for text in ("chat.yaml:9:7", "^^^^^^^^^^^^ did you mean max_model_len?", "hosts/h1.yaml:4:8", 'port:  "[/INST]"'):
            assert text in shown(pilot)
        lines = shown(pilot).splitlines()
        at = next(n for n, text in enumerate(lines) if "max_modl_len: 1" in text)
        assert lines[at].index("max_modl_len") == lines[at + 1].index("^")

    travel(app, journey)


def test_ctrl_c_says_how_one_leaves_and_does_not(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("ctrl+c")
        await see(pilot, "q leaves")
        assert app.is_running

    travel(app, journey, toasts=True)


def test_a_click_on_the_key_bar_presses_the_key(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        bar = shown(pilot).splitlines()[-1]
        await pilot.click(offset=(bar.index("Drift") - 2, 39))
        await until(pilot, lambda: app.current_mode == "drift")

    travel(app, journey)


def test_a_password_that_a_transport_asks_for_is_typed_in_a_panel_unseen(app: DeployerApp) -> None:
    heard: list[str] = []

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        asking = threading.Thread(target=lambda: heard.append(app.ask_password("sudo password (first asked by h1): ")))
        asking.start()
        await see(pilot, "sudo password (first asked by h1)")
        await pilot.press(*"geheim")
        assert "geheim" not in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: heard == ["geheim"])

    travel(app, journey)


def test_who_leaves_while_a_password_is_asked_for_leaves_no_thread_waiting(app: DeployerApp) -> None:
    heard: list[str] = []
    asking = threading.Thread(target=lambda: heard.append(app.ask_password("sudo password: ")))

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        asking.start()
        await see(pilot, "sudo password")

    travel(app, journey)
    asking.join(5)
    assert heard == [""]


@pytest.mark.parametrize("environment", ["prod", "staging"])
def test_the_environment_is_in_sight_everywhere_and_red_for_production(
    fleet: Path, hosts: dict[str, object], environment: str
) -> None:
    settings = fleet / "deployer.yaml"
    settings.write_text(f"{settings.read_text()}environment: {environment}\n")
    app = DeployerApp(Session(Fleet.load(fleet)), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        for key in "1234":
            await pilot.press(key)
            await see(pilot, f" {environment.upper()}  acme")
            top = pilot.app.screen.query_one(TopLine)
            assert top.has_class("-production") == (environment == "prod")
            red, green, blue = top.styles.background.rgb
            assert (red > 1.5 * max(green, blue)) == (environment == "prod")

    travel(app, journey, (80, 24))


def test_errors_that_are_expected_never_count_as_faults(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        for _ in range(8):
            app.wrong(DeployerError("no"))
            await see(pilot, "That did not work")
            await pilot.press("escape")
        assert app.is_running

    travel(app, journey)


async def _everywhere(pilot: Pilot[int], look: Callable[[], None]) -> None:
    """Through every place and panel; `look` at each."""
    app = pilot.app
    assert isinstance(app, DeployerApp)
    await see(pilot, "chat")
    look()
    app.go("plan")
    await until(pilot, lambda: app.session.planned is not None and "uv-0.13" in shown(pilot))
    look()
    for place in ("apply", "drift"):
        app.go(place)
        await until(pilot, lambda place=place: app.current_mode == place)
        await pilot.pause(0.05)
        look()
    for said, seen in (("deployment chat", "chat"), ("new", "new deployment"), ("help", "Keys"), ("theme", "colour-blind-light")):
        app.go("fleet")
        app.say(said)
        await see(pilot, seen)
        look()
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
    for key, seen in (("colon", "ask the hosts"), ("ctrl+p", ":plan")):
        await pilot.press(key)
        await see(pilot, seen)
        look()
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
    app.wrong(DeployerError("Größe “x” → 3 × 4 · ⠹ 日本", hint="déployer"))
    app.notify("copié", markup=False)
    await see(pilot, "That did not work")
    await pilot.pause(0.1)
    look()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_ascii_shows_nothing_beyond_ascii_anywhere(loaded: Fleet, size: tuple[int, int]) -> None:
    app = DeployerApp(Session(loaded), preferences=Preferences(ascii=True), tick_s=0.05)
    looked: list[str] = []

    async def journey(pilot: Pilot[int]) -> None:
        def look() -> None:
            looked.append(shown(pilot))
            found = {c for c in shown(pilot) if not c.isascii()}
            assert not found, f"{found} in\n{shown(pilot)}"

        await _everywhere(pilot, look)

    travel(app, journey, size, toasts=True)
    assert "3 x 4 . ? ????" in looked[-1]


@pytest.mark.parametrize("theme", ["dark", "light", "terminal"])
def test_no_color_leaves_greys_alone(loaded: Fleet, monkeypatch: pytest.MonkeyPatch, theme: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = DeployerApp(Session(loaded), preferences=Preferences(theme=theme), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        def look() -> None:
            assert not colours(pilot)

        await _everywhere(pilot, look)

    travel(app, journey)


def test_the_same_screens_have_colours_without_no_color(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "2/2 hosts")
        assert colours(pilot)

    travel(app, journey)


def colours(pilot: Pilot[int]) -> set[str]:
    """All that are shown and are not grey."""
    found = set()
    for strip in pilot.app.screen._compositor.render_strips():
        for segment in strip:
            for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                if colour is not None and not colour.is_default:
                    red, green, blue = colour.get_truecolor()
                    if max(red, green, blue) - min(red, green, blue) > 2:
                        found.add(colour.name)
    return found


def test_a_note_and_an_error_that_quote_a_host_are_text(start: Start) -> None:
    said = "\x1b[2J\x1b]0;title\x07a [bold]word[/bold] [/INST] \u202eback\x9b31m"
    app = start()

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "Fleet")
        app.notify(said, title=said, timeout=600)
        await see(pilot, "a [bold]word[/bold] [/INST]")
        app.wrong(DeployerError(said, where="h1", hint=said))
        await see(pilot, "h1: a [bold]word[/bold] [/INST] back")
        obeyed = [char for char in shown(pilot) if not char.isprintable() and char != "\n"]
        assert obeyed == []

    travel(app, journey, (200, 50), toasts=True)
