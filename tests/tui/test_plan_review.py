"""Reviewing a plan: what is seen of it, what is approved and rejected, and that exactly the approved part is done."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.app.session import Session
from deployer.errors import StalePlan
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.editor import command
from deployer.tui.line import text_of
from deployer.tui.screens.plan import PlanPlace
from deployer.tui.widgets.rowlist import RowList
from tests.cli.conftest import DEPLOYMENT
from tests.tui.conftest import see, shown, travel, until


def edit(root: Path, old: str, new: str, file: str = "deployments/chat.yaml") -> None:
    path = root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def applied(fleet: Path, hosts: dict[str, FakeHost]) -> Path:
    """A second deployment, and everything is as the files say."""
    (fleet / "deployments/other.yaml").write_text(DEPLOYMENT.replace("chat", "other"))
    with Fleet.load(fleet) as opened:
        assert opened.plan().apply().exit_code == 0
    return fleet


async def open_plan(pilot: Pilot[int]) -> PlanPlace:
    await pilot.press("2")
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanPlace) and pilot.app.screen.reviewing, "a plan")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, PlanPlace)
    return screen


async def on(pilot: Pilot[int], text: str) -> None:
    """The cursor to the first row that shows `text`."""
    rows = pilot.app.screen.query_one("#changes", RowList)
    place = next(n for n, row in enumerate(rows.rows) if text in "".join(t for t, _ in row.left))
    rows.cursor = place
    await pilot.pause()


def row_of(pilot: Pilot[int], text: str) -> str:
    return next(line for line in shown(pilot).splitlines() if text in line)


def test_a_plan_shows_each_change_with_sign_word_subject_and_cost_and_approves_nothing(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        assert "[ ] + create  model models/tiny" in shown(pilot)
        assert "145 B to bring" in shown(pilot)
        assert "approved 0 of 11" in shown(pilot)
        await on(pilot, "chat/0")
        await see(pilot, "deployments/chat.yaml:3")

    travel(app, journey)


def test_rejecting_a_change_blocks_what_needs_it_and_says_so(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await on(pilot, "model models/tiny as it is")
        await pilot.press("x")
        await see(pilot, "rejected with it: 2 changes that need it")
        assert "[!]" in row_of(pilot, "chat/0, port")
        assert "rejected 1 · blocked 2" in shown(pilot)
        await pilot.press("u")
        await see(pilot, "[ ] + create  chat/0")

    travel(app, journey)


def test_the_details_show_attributes_and_files_before_and_after_with_folds(app: DeployerApp, applied: Path) -> None:
    edit(applied, "ctranslate2: {}", "ctranslate2: {inter_threads: 2}")

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        assert "±1" in row_of(pilot, "▼ h1")
        await on(pilot, "chat/0")
        await see(pilot, "needs a new process")
        await see(pilot, '-   "inter_threads": 1,')
        await see(pilot, '+   "inter_threads": 2,')
        assert "lines as before (z)" in shown(pilot)
        assert '"max_queue"' not in shown(pilot)
        await pilot.press("m", "d")
        await see(pilot, '"max_queue"')

    travel(app, journey, (120, 80))


def test_a_group_is_approved_without_what_deletes_and_then_with_it(app: DeployerApp, applied: Path) -> None:
    edit(applied, "ctranslate2: {}", "ctranslate2: {inter_threads: 2}")
    edit(applied, "tags: [prod]", "description: the other one", "deployments/other.yaml")

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await pilot.press("ctrl+a")
        await see(pilot, "approved: 1 change; 2 left out: destructive, or in need of what is")
        assert "[ ]" in row_of(pilot, "chat/0, port")
        assert "[x]" in row_of(pilot, "other description")
        await pilot.press("g", "space")
        await see(pilot, "approved: 2 changes, 1 of them destructive")
        await see(pilot, "approved 3 of 3: 2 update, 1 replace")

    travel(app, journey)


def test_only_what_fits_the_filter_is_shown_and_a_group_key_acts_on_that_alone(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await pilot.press("slash", *"dep:chat !endpoint", "enter")
        await until(pilot, lambda: "endpoint /chat" not in shown(pilot) and "chat/0, port" in shown(pilot))
        assert "package haproxy" not in shown(pilot)
        await pilot.press("g", "x")
        await see(pilot, "rejected: 2 changes; rejected with them: 1 change that needs them (endpoint /chat/v1)")
        await pilot.press("escape")
        await see(pilot, "[!] + create  endpoint /chat/v1")

    travel(app, journey)


def test_exactly_the_approved_part_is_applied_and_what_was_rejected_is_not_done(
    app: DeployerApp, applied: Path, hosts: dict[str, FakeHost]
) -> None:
    edit(applied, "tags: [prod]", "tags: [prod]\ndescription: approved", "deployments/other.yaml")
    edit(applied, "ctranslate2: {}", "ctranslate2: {inter_threads: 2}")
    before = {name: host.running() for name, host in hosts.items()}

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await on(pilot, "chat/0")
        await pilot.press("x")
        await pilot.press("ctrl+a", "A")
        await see(pilot, "Apply this?")
        assert "2 changes of this plan are not done" in shown(pilot)
        await pilot.press("enter")
        assert app.session.operation is None
        await pilot.press("w", *"because y", "enter", "y")
        await until(pilot, lambda: app.session.operation is not None and app.session.operation.over, "the end")

    travel(app, journey)
    assert app.session.operation is not None
    assert app.session.operation.report is not None
    assert app.session.operation.report.exit_code == 0
    assert {name: host.running() for name, host in hosts.items()} == before
    with Fleet.load(applied) as opened:
        left = opened.plan().plan.changes
        assert [(c.kind, c.name) for c in left] == [("replica", "chat/0"), ("endpoint", "chat")]
        revision = max(opened.deployment("other").history(), key=lambda r: r["revision"])
        assert revision["why"] == "because y"


def test_what_deletes_wants_the_fleets_name_and_neither_y_nor_enter_confirms_it(app: DeployerApp, applied: Path) -> None:
    edit(applied, "ctranslate2: {}", "ctranslate2: {inter_threads: 2}")

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await pilot.press("g", "space", "A")
        await see(pilot, "this deletes or replaces:")
        assert "± replace h1  chat/0" in shown(pilot) or "± replace h2  chat/0" in shown(pilot)
        await pilot.press("enter")
        await see(pilot, "type the fleet's name first")
        await pilot.press("y", "enter")
        await see(pilot, "that is not the fleet's name: acme")
        assert app.session.operation is None
        await pilot.press("backspace", *"acme", "enter")
        await until(pilot, lambda: app.session.operation is not None and app.session.operation.over, "the end")

    travel(app, journey)


def test_production_wants_the_fleets_name_for_the_smallest_change(app: DeployerApp, applied: Path) -> None:
    edit(applied, "name: acme", "name: acme\nenvironment: prod", "deployer.yaml")
    edit(applied, "tags: [prod]", "description: new")

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await pilot.press("ctrl+a", "A")
        await see(pilot, "Apply this?")
        assert "(prod)" in shown(pilot)
        await pilot.press("y", "enter")
        await see(pilot, "that is not the fleet's name")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PlanPlace), "the review")
        assert app.session.operation is None

    travel(app, journey)


def test_a_refused_plan_says_why_and_cannot_be_applied(app: DeployerApp, fleet: Path) -> None:
    (fleet / "deployments/other.yaml").write_text(DEPLOYMENT.replace("chat", "other"))
    edit(fleet, "tags: [prod]", "placement: {labels: {gpu: h100}}")

    async def journey(pilot: Pilot[int]) -> None:
        screen = await open_plan(pilot)
        await see(pilot, "Refused: nothing can be applied")
        await see(pilot, "1 refusal: nothing can be applied")
        await pilot.press("ctrl+a")
        await see(pilot, "approved 11 of 11")
        assert app.screen.check_action("apply", ()) is None
        await pilot.press("A")
        await pilot.pause()
        assert app.screen is screen
        await pilot.press("g", "j")
        await see(pilot, "deployments/chat.yaml:")

    travel(app, journey)


def test_nothing_to_change_is_said_with_what_was_looked_at(app: DeployerApp, applied: Path) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await see(pilot, "Nothing to change. ")
        assert "as wanted" in shown(pilot)

    travel(app, journey)


def test_drift_and_hosts_that_do_not_answer_stand_apart_from_what_was_wanted(
    app: DeployerApp, applied: Path, hosts: dict[str, FakeHost]
) -> None:
    for host in hosts.values():
        for unit in host.path("/etc/systemd/system").glob("*chat-0*.service"):
            unit.write_text(unit.read_text() + "# [/INST] by hand\n")
            gone = next(other for other in hosts.values() if other is not host)
            gone.unreachable = "timeout"

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        text = shown(pilot)
        assert text.index("Unreachable: left as they are") < text.index("Changes") < text.index("Drift: changed")
        await on(pilot, "timed out")
        await see(pilot, "is unreachable")
        await pilot.press("slash", *"drift")
        await until(pilot, lambda: "Unreachable" not in shown(pilot))
        assert "drift: " in shown(pilot)

    travel(app, journey)


def test_what_looks_like_markup_is_shown_as_it_is(app: DeployerApp, applied: Path) -> None:
    edit(applied, "tags: [prod]", 'tags: [prod]\ndescription: "[/INST] [red]x"')

    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await on(pilot, "chat description")
        await see(pilot, "+ [/INST] [red]x")
        await pilot.press("d")
        await see(pilot, "Details")
        assert "+ [/INST] [red]x" in shown(pilot)

    travel(app, journey)


def test_the_plan_is_saved_and_written_as_markdown_where_one_says(app: DeployerApp, fleet: Path) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await pilot.press("e")
        await see(pilot, "Export the plan as")
        await pilot.press("ctrl+u", *"p.md", "enter")
        await until(pilot, (fleet / "p.md").exists, "the file")
        await pilot.press("ctrl+s")
        await see(pilot, "Save the plan as")
        await pilot.press("ctrl+u", *"p.json", "enter")
        await until(pilot, (fleet / "p.json").exists, "the file")

    travel(app, journey)
    assert (fleet / "p.md").read_text().startswith("### deployer plan for acme")
    with Fleet.load(fleet) as opened:
        assert len(opened.saved_plan(fleet / "p.json").plan.changes) == 11


def test_the_next_undecided_change_is_found_out_of_its_fold(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        screen = await open_plan(pilot)
        await pilot.press("C")
        await until(pilot, lambda: len(screen.nodes) == 1)
        await pilot.press("right_square_bracket")
        await see(pilot, "package haproxy")
        await pilot.press("space", "right_square_bracket", "x")
        await see(pilot, "rejected tool serve")

    travel(app, journey)


def test_planning_again_after_the_files_changed_reviews_the_new_plan(app: DeployerApp, fleet: Path) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await open_plan(pilot)
        await pilot.press("ctrl+a")
        await see(pilot, "approved 11 of 11")
        (fleet / "deployments/other.yaml").write_text(DEPLOYMENT.replace("chat", "other"))
        await pilot.press("r")
        await see(pilot, "approved 0 of 20")  # the second host copies the model that the first one converts

    travel(app, journey)


def test_while_the_hosts_are_asked_it_says_so_and_for_how_long(app: DeployerApp, hosts: dict[str, FakeHost]) -> None:
    for host in hosts.values():
        host.latency_s = 0.7

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("2")
        await see(pilot, "asking 2 hosts … 1 s")
        await see(pilot, "approved 0 of 11")

    travel(app, journey)


def test_a_plan_whose_hosts_moved_is_not_applied_and_the_next_one_is_of_the_hosts_as_they_are(
    app: DeployerApp, applied: Path
) -> None:
    edit(applied, "tags: [prod]", "description: mine")

    async def journey(pilot: Pilot[int]) -> None:
        screen = await open_plan(pilot)
        old = screen.planned
        text = (applied / "deployments/chat.yaml").read_text()
        edit(applied, "description: mine", "description: somebody else's")
        with Fleet.load(applied) as other:
            assert other.plan().apply().exit_code == 0
        (applied / "deployments/chat.yaml").write_text(text)
        await pilot.press("ctrl+a", "A")
        await see(pilot, "Apply this?")
        await pilot.press("y")
        await until(pilot, lambda: app.session.operation is not None and app.session.operation.over, "the end")
        assert app.session.operation is not None
        assert app.session.operation.report is not None
        assert app.session.operation.report.exit_code == StalePlan.exit_code
        assert "stale" in screen.why_not()
        await pilot.press("2")
        await until(pilot, lambda: screen.planned is not old, "a new plan")
        await see(pilot, "approved 0 of 1")

    travel(app, journey)


def test_secrets_are_shown_as_fingerprints_alone(app: DeployerApp, fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "verysecretvalue")
    edit(fleet, "endpoint: {open: true}", "endpoint: {keys: [{name: team, secret: {env: TEAM_KEY}}]}")

    async def journey(pilot: Pilot[int]) -> None:
        screen = await open_plan(pilot)
        await on(pilot, "endpoint /chat")
        await pilot.press("d")
        await see(pilot, "key team  secret ")
        assert not [line for line in screen.detail_lines(True) if "verysecret" in text_of(line)]

    travel(app, journey)


def test_an_editor_is_told_the_line_of_the_file_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "nano -w")
    assert command(Path("chat.yaml"), 4) == ["nano", "-w", "+4", "chat.yaml"]
    monkeypatch.setenv("VISUAL", "/usr/bin/code")
    assert command(Path("chat.yaml"), 4) == ["/usr/bin/code", "--wait", "--goto", "chat.yaml:4"]


def test_groups_fold_and_unfold_with_the_arrows_and_enter(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        screen = await open_plan(pilot)
        await on(pilot, "chat/0")
        await pilot.press("left")
        await until(pilot, lambda: "chat/0, port" not in shown(pilot), "a folded group")
        assert "▶ chat" in row_of(pilot, "chat  +3")
        await pilot.press("right")
        await see(pilot, "chat/0, port")
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: len(screen.nodes) == 1, "a folded host")
        await pilot.press("enter")
        await see(pilot, "package haproxy")

    travel(app, journey)


def test_a_read_only_view_reviews_but_neither_applies_nor_writes(loaded: Fleet) -> None:
    app = DeployerApp(Session(loaded, read_only=True), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        screen = await open_plan(pilot)
        await see(pilot, "A waits: this is a read-only view")
        await pilot.press("ctrl+a")
        await see(pilot, "approved 11 of 11")
        assert {screen.check_action(name, ()) for name in ("apply", "save", "export", "edit")} == {None}
        assert not (loaded.root / ".deployer/plans").exists()

    travel(app, journey)
