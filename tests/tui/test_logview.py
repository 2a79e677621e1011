"""A log that one reads while it grows."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from deployer.tui.line import Line, line
from deployer.tui.widgets.logbuffer import LogBuffer
from deployer.tui.widgets.logview import LogView
from tests.tui.conftest import shown


class Window(App[int]):
    CSS_PATH = "../../deployer/tui/style.tcss"

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.log_view = LogView(limit=limit, empty="nothing was said yet")

    def compose(self) -> ComposeResult:
        yield self.log_view


def numbered(first: int, last: int) -> list[Line]:
    return [line(f"line {number:05}") for number in range(first, last)]


def reading(journey: Callable[[Pilot[int], LogView], Awaitable[None]], *, limit: int = 1000) -> None:
    async def running() -> None:
        app = Window(limit)
        async with app.run_test(size=(60, 12)) as pilot:
            await journey(pilot, app.log_view)

    asyncio.run(running())


def text(pilot: Pilot[int]) -> list[str]:
    """Without the scroll bar."""
    return [one[:59].rstrip() for one in shown(pilot).splitlines()]


def test_it_follows_what_comes_and_stays_where_one_reads() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append(numbered(0, 100))
        await pilot.pause()
        assert "line 00099" in text(pilot)[-1]
        await pilot.press("k", "k", "k")
        before = text(pilot)
        assert not log.follow
        assert "line 00096" in before[-1]
        log.append(numbered(100, 142))
        await pilot.pause()
        assert text(pilot)[:-1] == before[:-1]
        assert "42 new lines below" in text(pilot)[-1]
        await pilot.press("G")
        assert log.follow
        assert "line 00141" in text(pilot)[-1]
        log.append(numbered(142, 143))
        await pilot.pause()
        assert "line 00142" in text(pilot)[-1]

    reading(journey)


def test_dropping_old_lines_does_not_move_what_one_reads() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append(numbered(0, 100))
        await pilot.pause()
        await pilot.press("k")
        before = text(pilot)
        log.append(numbered(100, 160))
        await pilot.pause()
        assert text(pilot)[:-1] == before[:-1]
        assert len(log.text().splitlines()) == 100

    reading(journey, limit=100)


def test_scrolling_back_to_the_end_follows_again() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append(numbered(0, 100))
        await pilot.pause()
        await pilot.press("k", "k")
        assert not log.follow
        await pilot.press("j", "j")
        assert log.follow

    reading(journey)


def test_what_stands_in_a_log_is_shown_as_it_is() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append([line("<s>[INST] hi [/INST] [red]no[/red]"), line("\x1b[0;36m(EngineCore)\x1b[0m\tup\r")])
        await pilot.pause()
        assert text(pilot)[:2] == ["<s>[INST] hi [/INST] [red]no[/red]", "(EngineCore)    up"]

    reading(journey)


def test_searching_marks_and_goes_from_match_to_match() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append(numbered(0, 300))
        await pilot.pause()
        await pilot.press("g")
        assert log.search("LINE 0010") == 10
        await pilot.pause()
        assert "line 00100" in shown(pilot)
        for _ in range(9):
            await pilot.press("n")
        assert "line 00109" in shown(pilot)
        await pilot.press("N", "N", "N", "N", "N", "N", "N", "N", "N", "N")
        assert "line 00109" in shown(pilot)
        assert log.search("nowhere") == 0

    reading(journey)


def test_a_filter_shows_only_what_fits_and_letting_go_of_it_keeps_the_place() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append(numbered(0, 300))
        await pilot.pause()
        await pilot.press("k")
        assert log.filter("line 002") == 100
        log.append([line("new line 002"), line("new 77")])
        await pilot.pause()
        assert log.text().splitlines()[-1] == "new line 002"
        await pilot.press("g")
        assert log.filter("") == 302
        await pilot.pause()
        assert text(pilot)[0].startswith("line 00200")

    reading(journey)


def test_it_wraps_and_keeps_the_line_at_the_top() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append([line(f"{number:02} " + "x" * 90 + " end") for number in range(40)])
        await pilot.pause()
        await pilot.press("g", *"jjjjj")
        assert text(pilot)[0].startswith("05 x")
        assert "end" not in shown(pilot)
        await pilot.press("w")
        await pilot.pause()
        assert text(pilot)[0].startswith("05 x")
        assert text(pilot)[1].endswith(" end")
        await pilot.press("w")
        await pilot.pause()
        assert text(pilot)[0].startswith("05 x")
        assert text(pilot)[1].startswith("06 x")

    reading(journey)


def test_the_place_aside_is_kept_while_lines_come() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append([line("a" * 30 + "b" * 60)] * 30)
        await pilot.pause()
        await pilot.press("l", "l", "l")
        assert text(pilot)[0].startswith("aaaaaab")
        log.append([line("c" * 90)] * 3)
        await pilot.pause()
        assert text(pilot)[0].startswith("aaaaaab")

    reading(journey)


def test_it_jumps_to_the_first_error() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        bad = line("12:00 ERROR torch.OutOfMemoryError: CUDA out of memory")
        log.append([*numbered(0, 100), bad, *numbered(100, 200)])
        await pilot.pause()
        await pilot.press("E")
        assert "OutOfMemoryError" in text(pilot)[1]
        assert not log.follow

    reading(journey)


def test_what_is_selected_is_what_is_seen() -> None:
    async def journey(pilot: Pilot[int], log: LogView) -> None:
        log.append(numbered(0, 100))
        await pilot.pause()
        await pilot.mouse_down(LogView, offset=(0, 2))
        await pilot.hover(LogView, offset=(10, 3))
        await pilot.mouse_up(LogView, offset=(10, 3))
        assert pilot.app.screen.get_selected_text() == "line 00090\nline 00091"

    reading(journey)


def test_fifty_thousand_lines_cost_little() -> None:
    buffer = LogBuffer(10_000)
    lines = [line(f"12:00:{n % 60:02} INFO request {n} done") for n in range(50_000)]
    began = time.process_time()
    for start in range(0, 50_000, 250):
        buffer.append(lines[start : start + 250])
    buffer.search("request 49991")
    assert time.process_time() - began < 2.0
    assert len(buffer.rows) == 10_000
    assert buffer.matches == [49991]


def test_wide_letters_are_not_cut_in_two() -> None:
    buffer = LogBuffer(10)
    buffer.append([line("模型" * 5)])
    buffer.shape(wrap=7, filtered="")
    assert [buffer.row_text(place) for place in range(len(buffer.rows))] == ["模型模", "型模型", "模型模", "型"]
