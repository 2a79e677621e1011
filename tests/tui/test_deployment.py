"""The place of one deployment: journeys over fake hosts on which it was applied."""

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from deployer.app.fleet import Fleet
from deployer.app.looking import Figures, FleetNow
from deployer.app.session import Session
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.screens.deployment import DeploymentPlace
from deployer.tui.screens.difference import DifferencePlace
from deployer.tui.screens.plan import PlanPlace
from tests.tui.conftest import see, shown, travel, until


@pytest.fixture
def app(loaded: Fleet) -> DeployerApp:
    """Nothing is heard but what it asks for."""
    return DeployerApp(Session(loaded), tick_s=0.1, watching=False)


def rewrite(fleet: Fleet, old: str, new: str, file: str = "deployments/chat.yaml") -> Fleet:
    path = fleet.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return fleet.again()


def applied(fleet: Fleet, why: str | None = None) -> Fleet:
    report = fleet.plan().apply(why=why)
    assert report.exit_code == 0, report
    return fleet


async def opened(pilot: Pilot[int], *keys: str) -> DeploymentPlace:
    """The deployment is open, the hosts have answered, and the keys are pressed."""
    app = pilot.app
    assert isinstance(app, DeployerApp)
    app.open_deployment("chat")
    place = app.screen
    assert isinstance(place, DeploymentPlace)
    await until(pilot, lambda: place.dossier is not None, "the hosts' answer")
    await pilot.press(*keys)
    return place


def test_overview_says_how_it_is_where_it_stands_and_what_serves(loaded: Fleet, app: DeployerApp) -> None:
    applied(loaded, "first")

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "● deployed  1/1 replicas  revision 1")
        screen = shown(pilot)
        assert "http://192.0.2.1:8443/chat/v1" in screen
        assert "ctranslate2 4.8.5 with local/tiny db2232a19d0a" in screen
        assert "deployer-acme-chat-0-" in screen
        assert "tags        prod" in screen

    travel(app, journey)


def test_one_that_was_never_applied_says_what_to_do(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "it was never applied: 2 plans it")
        await pilot.press("r")
        await until(pilot, lambda: "plans it, and" not in shown(pilot), "the other tab")
        await see(pilot, "it was never applied: 2 plans it")

    travel(app, journey)


def test_a_host_that_does_not_answer_is_named_with_the_next_step(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)
    loaded.close()
    hosts["h1"].unreachable = "timeout"

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "NOT HEARD")
        await see(pilot, "timed out after")
        assert "never applied" not in shown(pilot)

    travel(app, journey)


def test_a_host_that_is_lost_is_named_until_it_is_heard_again(loaded: Fleet, hosts: dict[str, FakeHost]) -> None:
    applied(loaded)
    app = DeployerApp(Session(loaded), tick_s=0.1)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "● deployed")
        hosts["h2"].unreachable = "refused"
        hosts["h2"].drop()
        await see(pilot, "connection refused")
        assert "NOT HEARD" in shown(pilot)
        hosts["h2"].unreachable = None
        await until(pilot, lambda: "NOT HEARD" not in shown(pilot), "the host's return")

    travel(app, journey)


def test_the_last_failure_stands_there_with_its_log_as_it_was_written(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)
    changed = rewrite(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: int8}")
    planned = changed.plan()
    (unit,) = (c.after.payload["unit"] for c in planned.plan.changes if c.after and c.kind == "replica")
    hosts["h1"].break_engine(unit, "RuntimeError: [/INST] [red] out of memory")
    assert planned.apply().exit_code == 5
    app.session.fleet = changed

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await see(pilot, "LAST FAILURE  h1")
        await see(pilot, "RuntimeError: [/INST] [red] out of memory")

    travel(app, journey)


def test_an_orphan_opens_too_and_only_destroy_is_offered(loaded: Fleet, app: DeployerApp) -> None:
    applied(loaded)
    (loaded.root / "deployments/chat.yaml").unlink()
    app.session.fleet = loaded.again()

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot)
        await see(pilot, "it is in no file any more")
        assert [place.check_action("plan", (what,)) for what in ("stop", "start", "destroy")] == [None, None, True]
        await pilot.press("y")
        await see(pilot, "no file has a deployment chat")

    travel(app, journey)


@pytest.fixture
def twice(loaded: Fleet, app: DeployerApp) -> Fleet:
    """Applied, changed, applied again."""
    applied(loaded, "first [/INST]")
    app.session.fleet = applied(rewrite(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: int8}"), "smaller")
    return app.session.fleet


def test_two_revisions_are_compared_by_attribute_and_by_file(twice: Fleet, app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "r")
        await see(pilot, "smaller")
        assert "first [/INST]" in shown(pilot)
        await pilot.press("space", "j", "space", "d")
        await see(pilot, "from revision 1")
        await see(pilot, "compute_type  default → int8  needs a new process")
        assert '+  "compute_type": "int8"' in shown(pilot)
        assert '-  "compute_type": "default"' in shown(pilot)
        await pilot.press("slash", *"int8")
        await until(pilot, lambda: "from revision 1" not in shown(pilot), "the filtered lines")
        await pilot.press("escape", "escape")
        await see(pilot, "smaller")

    travel(app, journey)


def test_without_marks_the_one_under_the_cursor_is_compared_with_what_stands_now(twice: Fleet, app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "r", "j", "d")
        screen = pilot.app.screen
        assert isinstance(screen, DifferencePlace)
        assert (screen.before.number, screen.after.number, screen.after.current) == (1, 2, True)

    travel(app, journey)


def test_what_is_applied_meanwhile_is_seen_with_its_revision(loaded: Fleet) -> None:
    applied(loaded, "first")
    app = DeployerApp(Session(loaded), tick_s=0.1)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "r")
        await see(pilot, "first")
        with Fleet.load(loaded.root) as other:
            await asyncio.to_thread(lambda: applied(rewrite(other, "[prod]", "[prod, team]"), "by somebody else"))
        await see(pilot, "by somebody else")

    travel(app, journey)


def test_every_value_of_the_yaml_says_where_it_comes_from(loaded: Fleet, app: DeployerApp) -> None:
    (loaded.root / "defaults").mkdir()
    (loaded.root / "defaults/all.yaml").write_text("sampling: {temperature: 0.5}\n")
    changed = rewrite(loaded, "name: chat", "name: chat\nextends: ../defaults/all.yaml")
    changed = rewrite(changed, "name: acme", "name: acme\ndefaults: {rollout: {min_healthy: 7s}}", "deployer.yaml")
    app.session.fleet = changed

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "y")
        await see(pilot, "temperature: 0.5")
        lines = {line.split(":")[0].strip(): line for line in shown(pilot).splitlines()}
        assert lines["path"].endswith("deployments/chat.yaml:3")
        assert lines["temperature"].endswith("defaults/all.yaml:1  extended")
        assert lines["min_healthy"].endswith("deployer.yaml:3  fleet's defaults")
        assert lines["replicas"].endswith("default")
        await pilot.press("d")
        await until(pilot, lambda: "replicas" not in shown(pilot), "the values without defaults")
        await pilot.press("slash", *"all.yaml", "enter")
        await until(pilot, lambda: "min_healthy" not in shown(pilot), "the values of one file")
        assert "temperature: 0.5" in shown(pilot)

    travel(app, journey)


def test_a_value_is_opened_in_the_editor_and_the_files_are_read_again(
    loaded: Fleet, app: DeployerApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "ed"
    editor.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nsed -i s/prod/team/ "$2"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))

    @contextlib.contextmanager
    def suspend() -> Iterator[None]:
        yield

    monkeypatch.setattr(app, "suspend", suspend)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "y", "d", "slash", *"prod", "enter")
        await until(pilot, lambda: "ctranslate2" not in shown(pilot), "the filtered line")
        await pilot.press("o", "slash", "escape")
        await see(pilot, "- team")
        assert (tmp_path / "asked").read_text() == f"+5 {loaded.root}/deployments/chat.yaml\n"

    travel(app, journey)


def test_the_endpoint_is_shown_and_its_curl_is_copied_through_the_terminal(
    loaded: Fleet, app: DeployerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(loaded)
    monkeypatch.setattr("deployer.tui.clipboard.program", lambda: None)
    monkeypatch.delenv("TMUX", raising=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "a")
        await see(pilot, "none needed")
        assert "from openai import OpenAI" in shown(pilot)
        written: list[str] = []
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        await pilot.press("c")
        assert [note.title for note in app._notifications] == ["copied: the curl command"]
        assert place.dossier is not None
        assert place.dossier.endpoint is not None
        sequence = base64.b64encode(place.dossier.endpoint.curl.encode()).decode()
        assert f"\033]52;c;{sequence}\a" in written

    travel(app, journey)


def test_an_endpoint_of_its_own_host_alone_says_how_to_reach_it(loaded: Fleet, app: DeployerApp) -> None:
    app.session.fleet = applied(rewrite(loaded, "endpoint: {open: true}\n", ""))

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "a")
        await see(pilot, "on h1 itself alone")
        await see(pilot, "ssh -N -L 8443:127.0.0.1:8443 192.0.2.1")

    travel(app, journey)


def test_stop_asks_why_and_opens_the_review_and_nothing_stops(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)
    before = hosts["h1"].running()

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "x")
        await see(pilot, "Stop chat")
        await pilot.press(*"quiet", "enter")
        await until(pilot, lambda: app.session.planned is not None, "a plan")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanPlace), "the review")
        assert app.session.planned is not None
        plan = app.session.planned.plan
        assert [(c.name, c.actions) for c in plan.changes if c.kind == "replica"] == [("chat/0", ("update",))]
        assert plan.roster["holds"]["chat"]["why"] == "quiet"

    travel(app, journey)
    assert hosts["h1"].running() == before


def test_restart_opens_the_review_of_one_new_process_and_nothing_restarts_yet(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    applied(loaded)

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "R")
        await see(pilot, "new one first")
        assert app.session.planned is not None
        replicas = [(c.name, c.actions, c.reason[:17]) for c in app.session.planned.plan.changes if c.kind == "replica"]
        assert replicas == [("chat/0", ("create", "delete"), "restart asked for")]

    travel(app, journey)
    assert app.session.operation is None


def test_in_a_read_only_view_nothing_can_be_planned_or_edited(loaded: Fleet) -> None:
    applied(loaded)
    app = DeployerApp(Session(loaded, read_only=True), tick_s=0.1, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "x")
        assert pilot.app.screen is place
        await pilot.press("y")
        assert place.tab.check_action("edit", ()) is None

    travel(app, journey)


def test_logs_follow_and_are_filtered_searched_and_saved(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost], tmp_path: Path
) -> None:
    applied(loaded)
    units = hosts["h1"].machine.units
    unit = next(one for one in units.known.values() if "chat" in one.name)
    units.say(unit, "user: [INST] hello [/INST]")
    saved = tmp_path / "chat.log"

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "l")
        await see(pilot, "user: [INST] hello [/INST]")
        units.say(unit, "RuntimeError: [red] out of memory")
        await see(pilot, "RuntimeError: [red] out of memory")
        await pilot.press("slash", *"[/inst]", "enter")
        await until(pilot, lambda: "RuntimeError" not in shown(pilot), "the filtered lines")
        assert "hello [/INST]" in shown(pilot)
        await pilot.press("S")
        await see(pilot, "Save what is shown")
        pilot.app.screen.query_one(Input).value = str(saved)
        await pilot.press("enter")
        await until(pilot, saved.exists, "the file")
        await pilot.press("escape", "f")
        await see(pilot, "Find in the log")
        await pilot.press(*"memory", "enter")
        await see(pilot, "n and N go through “memory”")

    travel(app, journey)
    assert saved.read_text().splitlines()[0].endswith("user: [INST] hello [/INST]")
    assert "RuntimeError" not in saved.read_text()
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_log_that_is_left_ends_on_the_host(loaded: Fleet, app: DeployerApp) -> None:
    applied(loaded)
    streams = lambda: [t.name for t in threading.enumerate() if t.name == "h1-logs"]  # noqa: E731

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "l")
        await until(pilot, streams, "a stream on the host")
        await pilot.press("i")
        await until(pilot, lambda: not streams(), "its end")
        await pilot.press("l")
        await until(pilot, streams, "a stream again")
        await pilot.press("4")
        await until(pilot, lambda: not streams(), "its end while another place is looked at")
        await pilot.press("1")
        await until(pilot, streams, "a stream when one is back")
        await pilot.press("escape")
        await until(pilot, lambda: not streams(), "its end with the place")

    travel(app, journey)


def test_with_several_replicas_lines_name_theirs_and_one_can_be_chosen(
    loaded: Fleet, app: DeployerApp, hosts: dict[str, FakeHost]
) -> None:
    changed = rewrite(loaded, "tags: [prod]", "tags: [prod]\nreplicas: 2")
    app.session.fleet = applied(rewrite(changed, "insecure: true", "insecure: true, hosts: [h1]", "deployer.yaml"))
    said = []
    for host in hosts.values():
        for unit in [one for one in host.machine.units.known.values() if "chat" in one.name]:
            host.machine.units.say(unit, f"line of {unit.name.split('-')[3]}")
            said.append(unit)
    assert len(said) == 2

    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "l")
        await see(pilot, "chat/0 line of 0")
        await see(pilot, "chat/1 line of 1")
        await pilot.press("o")
        await see(pilot, "of chat/0")
        await until(pilot, lambda: "line of 1" not in shown(pilot), "the lines of one replica")
        await see(pilot, "line of 0")

    travel(app, journey)


def test_figures_show_what_the_engine_tells_and_otherwise_say_why_there_is_none(
    loaded: Fleet, app: DeployerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(loaded)
    now = FleetNow()
    monkeypatch.setattr(DeployerApp, "now", property(lambda _: now))

    async def journey(pilot: Pilot[int]) -> None:
        nonlocal now
        await opened(pilot, "m")
        await see(pilot, "no figures: its engine tells none (yet)")
        now = FleetNow(1, None, {}, {"chat": Figures(requests_s=12.4, ttft_p95_s=0.64, kv_cache=0.5, queue=3)})
        await see(pilot, "12.4 /s")
        screen = shown(pilot)
        assert "640 ms" in screen
        assert "50.0 %" in screen

    travel(app, journey)


PIECES = ("Hel", "lo ", "[/INST]", " [red]")


class Endpoint(BaseHTTPRequestHandler):
    """Streams PIECES to who has the key; after the first it waits for `more`."""

    asked: ClassVar[list[dict[str, Any]]] = []
    more: ClassVar[threading.Event] = threading.Event()
    gone: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        if self.headers["Authorization"] != "Bearer sesame":
            self._answer(401, b'{"error": {"message": "no key"}}')
            return
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
        for number, piece in enumerate(PIECES):
            self._say({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
            while number == 0 and not self.more.wait(0.01):
                try:
                    self._say({"choices": []})
                except OSError:
                    self.gone.set()
                    return
        self._say({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self._say({"choices": [], "usage": {"completion_tokens": 4}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _say(self, event: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def endpoint(loaded: Fleet, app: DeployerApp) -> Iterator[type[Endpoint]]:
    """The address of the deployment is a server here, and it wants a key."""
    for event in (Endpoint.more, Endpoint.gone):
        event.clear()
    Endpoint.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rewrite(loaded, "insecure: true", f"insecure: true, port: {server.server_port}", "deployer.yaml")
        rewrite(loaded, "192.0.2.1", "127.0.0.1", "hosts/h1.yaml")
        key = f"keys: [{{name: team, sha256: {'a' * 64}}}]"
        app.session.fleet = applied(rewrite(loaded, "endpoint: {open: true}", f"endpoint: {{{key}}}"))
        yield Endpoint
        Endpoint.more.set()
        server.shutdown()


def test_the_playground_asks_for_the_key_and_streams_the_answer(app: DeployerApp, endpoint: type[Endpoint]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "t")
        await pilot.press(*"hi", "enter")
        await see(pilot, "The key of this endpoint")
        await pilot.press(*"sesame", "enter")
        await see(pilot, "Hel")
        assert "[/INST]" not in shown(pilot)
        endpoint.more.set()
        await see(pilot, "Hello [/INST] [red]")
        await see(pilot, "4 tokens")
        assert "sesame" not in shown(pilot)
        assert "first token after" in shown(pilot)
        await pilot.press(*"more", "enter")
        await until(pilot, lambda: len(endpoint.asked) == 2, "the second question")

    travel(app, journey)
    first, second = endpoint.asked
    assert (first["model"], first["max_tokens"], first["stream"]) == ("chat", 256, True)
    assert [one["content"] for one in second["messages"]] == ["hi", "".join(PIECES), "more"]


def test_esc_stops_an_answer_and_the_engine_hears_of_it(app: DeployerApp, endpoint: type[Endpoint]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot, "t")
        await pilot.press("f2", *"sesame", "enter")
        await pilot.press(*"hi", "enter")
        await see(pilot, "Hel")
        await pilot.press("escape")
        await see(pilot, "stopped")
        await until(pilot, endpoint.gone.is_set, "the end of the request")
        assert pilot.app.screen is place

    travel(app, journey)


def test_a_key_that_is_refused_is_said_and_asked_for_again(app: DeployerApp, endpoint: type[Endpoint]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot, "t")
        await pilot.press(*"hi", "enter")
        await see(pilot, "The key of this endpoint")
        await pilot.press(*"wrong", "enter")
        await see(pilot, "the endpoint answered 401: no key")
        await pilot.press("escape", "enter")
        await see(pilot, "The key of this endpoint")

    travel(app, journey)
