"""What engines, tools, hosts, hubs and clients say reaches a person's terminal as text: it moves no cursor, hides nothing, turns
no line around, and is no markup, by whichever door it comes in.
"""

import io
import json
import re
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.style import Style

from deployer.agent.context import StepFailed, last_words
from deployer.agent.journal import Journal
from deployer.agent.journal import read as journal_of
from deployer.agent.plain import ODD, plain, plain_values
from deployer.agent.system import Done, System
from deployer.agent.talk import Talk
from deployer.app.board import Board
from deployer.cli import console, failing
from deployer.cli.liveprogress import LiveProgress
from deployer.cli.plainprogress import PlainProgress
from deployer.errors import DeployerError, Unreachable
from deployer.execute.events import from_line
from deployer.execute.probe import unreached
from deployer.transport.explain import explain
from deployer.transport.verb import VerbChannel
from deployer.tui import applyrows
from deployer.tui.applyrows import Drawing
from deployer.tui.glyphs import UNICODE
from deployer.tui.line import content, line
from deployer.tui.modals.failure import failure
from deployer.tui.widgets.drawn import Drawn
from tests.transport.scripted import Scripted

#: A terminal obeys the first, the second turn a line around, the third no stream in UTF-8 can hold.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]|[\u202a-\u202e\u2066-\u2069]|[\ud800-\udfff]")

HARMLESS = ("[bold]red[/bold]", "[/INST]", "[red", ":fire:", "$text", "{x}", "%s", "äß漢", "word")
HARMFUL = (
    *("\x1b[2J", "\x1b[1A\x1b[2K", "\x1b[31m", "\x1b[8m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x1b]52;c;eA==\x9c"),
    *("\x1bc", "\x1bPq#0\x1b\\", "\x9b31m", "\x9d0;t\x9c", "\x1b", "\x1b[", "\x07", "\x08", "\x00", "\x7f", "\x85"),
    *("\u202e", "\u2066", "\u2069", "\ud800", "\udfff"),
)
SAID = st.lists(st.sampled_from(HARMLESS + HARMFUL), min_size=1, max_size=6)


def joined(pieces: list[str]) -> str:
    """With an end for a sequence that has none, which would take the next word along, as it does in a terminal."""
    return " ~ ".join(pieces)


def kept(said: str, pieces: list[str]) -> None:
    assert OBEYED.search(said) is None, ascii(said)
    for piece in pieces:
        if piece in HARMLESS:
            assert piece in said, (piece, ascii(said))


@given(text=st.text(st.characters() | st.sampled_from("\x1b\x9b\x9d\x9c\x90\x07\r\n\t\x00[]P\\;0mK\u202e\ud800"), max_size=60))
def test_plain_text_holds_nothing_that_is_obeyed_and_stays_as_it_is(text: str) -> None:
    found = plain(text)
    assert OBEYED.search(found) is None
    assert plain(found) == found
    if text.isprintable():
        assert found == text
    assert (found != text) == (ODD.search(text) is not None), "who looks for one odd character finds every text that changes"
    assert console._json(text).isprintable() or OBEYED.search(console._json(text)) is None
    assert json.loads(console._json(text)) == text, "a program gets every character"


@pytest.mark.parametrize("unit", ["\x1b[", "\x1b]0;", "\x9b1", "\x1bP", "\x1b", "\x1b[1;", "\r", "\x1b "])
def test_no_text_takes_long(unit: str) -> None:
    text = unit * 100_000
    began = time.process_time()
    plain(text)
    assert time.process_time() - began < 2.0


@given(pieces=SAID)
def test_a_tools_output_in_a_failed_step(pieces: list[str]) -> None:
    text = joined(pieces)
    raw = text.encode("utf-8", "replace")
    done = Done(1, b"", b"error: " + raw + b"\n" + raw)
    problem = StepFailed(f"uv pip sync: {last_words(done)}", cause=text, hint=text, log=done.lines)
    for said in (problem.message, str(problem), problem.cause, problem.hint, "\n".join(problem.log)):
        kept(str(said), pieces)


@settings(max_examples=50)
@given(pieces=SAID)
def test_the_journal_of_a_run_on_the_host(pieces: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    system = System(str(tmp_path_factory.mktemp("host")))
    Path(system.path("/var/lib/deployer/runs/r1")).mkdir(parents=True)
    journal, text = Journal(system, "r1"), joined(pieces)
    journal.say("report", transactions={"chat": {"message": text, "log": [text]}})
    journal.step({"id": "chat"}, {"id": "chat.0", "kind": "x"}, "progress", data={"phase": text, "done": 1})
    journal.close()
    for event in journal_of(system, "r1"):
        for said in texts(event):
            assert OBEYED.search(said) is None
        kept(json.dumps(event, ensure_ascii=False), pieces)


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts(one)]


@given(pieces=SAID)
def test_what_a_verb_of_the_agent_says(pieces: list[str]) -> None:
    out = io.BytesIO()
    Talk(io.BytesIO(), out).say({"type": "judged", "said": joined(pieces)})
    kept(json.loads(out.getvalue())["said"], pieces)


def received(message: dict[str, Any], escaped: bool) -> dict[str, Any]:
    """What the controller takes for an agent's line, from a host that may send whatever it likes."""
    raw = json.dumps(message, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    (found, _) = VerbChannel("h", Scripted([(raw + b'\n{"type":"end"}\n', b"")])).lines()
    return found


@given(pieces=SAID, escaped=st.booleans())
def test_the_lines_of_a_host_that_sends_whatever_it_likes(pieces: list[str], escaped: bool) -> None:
    text = joined(pieces)
    found = received({"type": "step", "label": text, "message": text, "data": {"phase": text, "log": [text]}}, escaped)
    for said in texts(found):
        if said != "step":
            kept(said, pieces)
    probe = received({"type": "probe", "gpu_error": text, "units": [{"result": text}], "records": {"chat": text}}, escaped)
    kept(probe["gpu_error"], pieces)
    kept(probe["units"][0]["result"], pieces)
    assert probe["records"] == {"chat": text}, "what is compared with the files stays as it is"


@given(pieces=SAID)
def test_ssh_sudo_and_an_agent_that_does_not_start(pieces: list[str]) -> None:
    text = joined(pieces)
    banner = text.encode("utf-8", "replace")
    kept(explain("h", "ann", Scripted(status=1), b"", banner).what, pieces)
    with pytest.raises(DeployerError) as ended:
        list(VerbChannel("h", Scripted([(b"", banner)], status=1)).lines())
    kept(ended.value.what, pieces)
    kept(unreached("h", Unreachable(text, where="h", hint=text)).message, pieces)


@given(pieces=SAID)
def test_an_error_as_the_command_line_shows_it(pieces: list[str]) -> None:
    text = joined(pieces)
    shown = io.StringIO()
    with redirect_stderr(shown):
        failing.show(DeployerError(text, where=text, hint=text))
    kept(shown.getvalue(), pieces)
    assert shown.getvalue().count("word") == 3 * pieces.count("word")


@given(pieces=SAID)
def test_results_and_narration_of_the_command_line(pieces: list[str]) -> None:
    text = joined(pieces)
    shown, said = io.StringIO(), io.StringIO()
    with redirect_stdout(shown), redirect_stderr(said):
        console.out(f"\x1b[31mred\x1b[0m {text}")
        console.say(text)
    ours = shown.getvalue().removeprefix("\x1b[31mred\x1b[0m ")
    kept(re.sub("\x1b\\[31m", "", ours), pieces)  # our own colours are let through; at the doors they are taken away
    kept(re.sub("\x1b\\[31m", "", said.getvalue()), pieces)


@given(pieces=SAID)
def test_json_of_the_command_line_holds_every_character(pieces: list[str]) -> None:
    text = joined(pieces)
    for write in (console.emit, console.line):
        shown = io.StringIO()
        with redirect_stdout(shown):
            write({"said": text})
        assert OBEYED.search(shown.getvalue()) is None
        assert json.loads(shown.getvalue()) == {"said": text}


Show = Callable[[list[Any]], str]


def moving(events: list[Any]) -> str:
    live, shown = LiveProgress(), Console(file=io.StringIO(), width=600)
    for event in events:
        live.take(event)
    shown.print(live._draw())
    return str(shown.file.getvalue())  # type: ignore[attr-defined]


def still(events: list[Any]) -> str:
    progress, shown = PlainProgress(), io.StringIO()
    with redirect_stderr(shown):
        for event in events:
            progress.take(event)
    return shown.getvalue()


def rows(events: list[Any]) -> str:
    board = Board(clock=lambda: 0.0)
    for event in events:
        board.take(event)
    found = applyrows.rows(board, board.view(100), Drawing(UNICODE, 600))
    drawn = Drawn()
    drawn.look_of = lambda name: Style()  # type: ignore[method-assign]
    return "\n".join(segment.text for row in found for segment in drawn.segments(row.left, Style()))


@settings(max_examples=50)
@given(pieces=SAID)
@pytest.mark.parametrize("show", [moving, still, rows])
def test_a_step_as_it_is_shown_while_it_goes_on(show: Show, pieces: list[str]) -> None:
    text = joined(pieces)
    start = {"type": "step", "at": "2026-01-01T00:00:00Z", "step": "m.0", "tx": "m", "label": text, "state": "start"}
    failed = {**start, "state": "failed", "message": text, "data": {"cause": text, "hint": text}}
    shown = show([from_line("h", plain_values(one), "now") for one in (start, failed)])
    kept(re.sub(r"[ \n]+", " ", shown), pieces)


@given(pieces=SAID)
def test_the_terminal_ui_draws_text_and_no_markup(pieces: list[str]) -> None:
    text = joined(pieces)
    kept(content(line(text, (text, "bold"))).plain, pieces)
    drawn = Drawn()
    drawn.look_of = lambda name: Style()  # type: ignore[method-assign]
    kept("".join(segment.text for segment in drawn.segments(line(text, (text, "bad")), Style())), pieces)
    panel = failure(DeployerError(text, where=text, hint=text))
    kept(panel._text.plain, pieces)
