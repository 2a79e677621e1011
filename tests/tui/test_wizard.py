"""A new deployment, from the first key to a plan that applies, on fake hosts; and what happens when something is wrong."""

from pathlib import Path

import pytest
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input

from deployer.app.fleet import Fleet
from deployer.app.looking import FleetNow, GpuNow, HostNow
from deployer.app.session import Session
from deployer.cli.main import main
from deployer.state.samples import GpuSample
from deployer.transport.fake import FakeHost
from deployer.tui.app import DeployerApp
from deployer.tui.screens.wizard import Wizard
from tests.cli.conftest import relock
from tests.hub import LocalHub
from tests.hub.fixture import hub
from tests.tui.conftest import see, shown, travel, until

__all__ = ["hub"]

GIB = 1 << 30
CONFIG = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8}'


async def write(pilot: Pilot[int], text: str) -> None:
    """Into the field that has the focus, as a terminal pastes."""
    pilot.app.post_message(Paste(text))
    field = pilot.app.focused
    await until(pilot, lambda: isinstance(field, Input) and field.value.endswith(text), f"“{text}” in its field")


async def opened(pilot: Pilot[int]) -> Wizard:
    await see(pilot, "chat")
    pilot.app.call_later(pilot.app.new_deployment)  # type: ignore[attr-defined]
    await see(pilot, "repository")
    screen = pilot.app.screen
    assert isinstance(screen, Wizard)
    await focus(pilot, screen, "model")
    return screen


async def focus(pilot: Pilot[int], wizard: Wizard, key: str) -> None:
    """Waits until the field has the focus."""
    await until(pilot, lambda: wizard._field is not None and wizard._field.key == key, f"the field {key}")


async def forward(pilot: Pilot[int], wizard: Wizard, step: str, first: str | None = None) -> None:
    await pilot.press("ctrl+n")
    await until(pilot, lambda: wizard.step == step, f"the step {step}")
    if first is not None:
        await focus(pilot, wizard, first)


async def to_review(pilot: Pilot[int], wizard: Wizard) -> None:
    """The folder models/tiny, CTranslate2, the name "second"; nothing else."""
    await pilot.press("right")
    await see(pilot, "< models/tiny >")
    await forward(pilot, wizard, "engine", "engine")
    await pilot.press("right")
    await see(pilot, "< ctranslate2 >")
    await forward(pilot, wizard, "parameters", "name")
    await write(pilot, "second")
    await forward(pilot, wizard, "hardware", "engine.ctranslate2.device")
    await forward(pilot, wizard, "endpoint", "endpoint")
    await forward(pilot, wizard, "review")
    await see(pilot, "deployments/second.yaml")


def test_what_it_writes_validates_and_its_plan_applies(app: DeployerApp, hosts: dict[str, FakeHost], fleet: Path) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("right")
        await see(pilot, "< models/tiny >")
        await forward(pilot, wizard, "engine", "engine")
        await pilot.press("right")
        await see(pilot, "converts the model once")
        await pilot.press("tab", "tab")
        while "< int8 >" not in shown(pilot):
            await pilot.press("right")
        await forward(pilot, wizard, "parameters", "name")
        await write(pilot, "second")
        await pilot.press("tab")
        await write(pilot, "Hello: [/INST] # [red]")
        await pilot.press("enter")
        await write(pilot, "prod, chat")
        await forward(pilot, wizard, "hardware", "engine.ctranslate2.device")
        await pilot.press("shift+tab", "j", "space")
        await see(pilot, "[x] h2")
        await forward(pilot, wizard, "endpoint", "endpoint")
        await pilot.press("left")
        await see(pilot, "< open >")
        await forward(pilot, wizard, "review")
        await see(pilot, "quantization: int8")
        await until(pilot, lambda: wizard.checked is not None and wizard.checked.spec is not None, "a draft that is right")
        await pilot.press("enter", "ctrl+s")
        await until(pilot, lambda: app.session.planned is not None, "a plan")
        assert app.current_mode == "plan"
        assert app.options.names == ("second",)

    travel(app, journey, (80, 24))
    assert main(["validate", "-C", str(fleet)]) == 0
    with Fleet.load(fleet) as changed:
        spec = changed.spec.deployments["second"]
        assert (spec.description, spec.tags, spec.placement.hosts) == ("Hello: [/INST] # [red]", ("prod", "chat"), ("h2",))
        assert spec.endpoint.open
        assert app.session.planned is not None
        assert {change.deployment for change in app.session.planned.plan.changes} == {"second", None}
        assert changed.apply(app.session.planned.plan).exit_code == 0
        assert any("second-0" in unit for unit in hosts["h2"].running())


def test_a_wrong_value_is_said_as_it_is_typed_and_the_step_is_not_left_with_it(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: isinstance(app.focused, Input), "the field that is needed")
        await see(pilot, 'model.repo must be a repository such as org/name, not ""')
        await write(pilot, "a b")
        await see(pilot, 'not "a b"')
        assert wizard.step == "model"
        await pilot.press("ctrl+u")
        await write(pilot, "org/tiny")
        await until(pilot, lambda: "must be a repository" not in shown(pilot), "no complaint")
        await forward(pilot, wizard, "engine")

    travel(app, journey)


def test_what_was_typed_stays_when_one_goes_back_and_forth(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("tab")
        await write(pilot, "org/tiny")
        await pilot.press("tab")
        await write(pilot, "v2")
        await forward(pilot, wizard, "engine", "engine")
        await forward(pilot, wizard, "parameters", "name")
        await write(pilot, "second")
        await pilot.press("ctrl+o")
        await focus(pilot, wizard, "engine")
        await pilot.press("ctrl+o")
        await focus(pilot, wizard, "model")
        await see(pilot, "org/tiny")
        assert "v2" in shown(pilot)
        await forward(pilot, wizard, "engine", "engine")
        await forward(pilot, wizard, "parameters", "name")
        await see(pilot, "second")

    travel(app, journey)


def test_esc_asks_before_what_was_typed_is_thrown_away(app: DeployerApp, fleet: Path) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("tab")
        await write(pilot, "org/tiny")
        await pilot.press("escape")
        await see(pilot, "written nowhere yet")
        await pilot.press("enter", "escape")
        await until(pilot, lambda: app.screen is wizard, "the wizard again")
        await see(pilot, "org/tiny")
        await pilot.press("escape", "t")
        await until(pilot, lambda: not isinstance(app.screen, Wizard), "the place below")

    travel(app, journey)
    assert [path.name for path in (fleet / "deployments").iterdir()] == ["chat.yaml"]


def test_nothing_typed_is_left_without_a_question(app: DeployerApp) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        await opened(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "fleet" and not isinstance(app.screen, Wizard), "the fleet")

    travel(app, journey)


def test_a_problem_in_the_review_leads_to_its_field(app: DeployerApp, fleet: Path) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await to_review(pilot, wizard)
        (fleet / "deployments/second.yaml").write_text("name: third\nmodel: {path: models/tiny}\nengine: {ctranslate2: {}}\n")
        await pilot.press("ctrl+o")
        await focus(pilot, wizard, "endpoint")
        await forward(pilot, wizard, "review")
        await see(pilot, "deployments/second.yaml is there already")
        await pilot.press("ctrl+s", "g", "enter")
        await focus(pilot, wizard, "name")
        assert wizard.step == "parameters"

    travel(app, journey)
    assert "third" in (fleet / "deployments/second.yaml").read_text()


def test_a_lock_that_fails_is_said_the_file_stays_and_can_be_corrected(app: DeployerApp, fleet: Path, hub: LocalHub) -> None:
    wanted = fleet / "deployments/later.yaml"
    wanted.write_text("name: later\nmodel: {repo: org/later}\nengine: {ctranslate2: {}}\n")
    relock(fleet)  # so that its packages are pinned, and only the model must be looked up
    wanted.unlink()

    hub.add("org/later", {"config.json": CONFIG, "model.safetensors": b"w" * 100, "tokenizer.json": "{}"})

    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("tab")
        await write(pilot, "org/latter")
        await forward(pilot, wizard, "engine", "engine")
        await pilot.press("right")
        await see(pilot, "< ctranslate2 >")
        await forward(pilot, wizard, "parameters", "name")
        await write(pilot, "second")
        await forward(pilot, wizard, "hardware")
        await forward(pilot, wizard, "endpoint", "endpoint")
        await forward(pilot, wizard, "review")
        await until(pilot, lambda: wizard.checked is not None and wizard.checked.spec is not None, "a draft that is right")
        await pilot.press("ctrl+s")
        await see(pilot, "org/latter does not exist")
        await pilot.press("escape")
        await see(pilot, "is written and stays; it is not locked yet")
        assert "org/latter" in (fleet / "deployments/second.yaml").read_text()
        wizard._to("model", "model.repo")
        await focus(pilot, wizard, "model.repo")
        await pilot.press("ctrl+u")
        await write(pilot, "org/later")
        wizard._to("review")
        await until(pilot, lambda: wizard.step == "review" and wizard._of is wizard.draft, "the draft checked")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.session.planned is not None, "a plan")

    travel(app, journey)
    assert "org/later\n" in (fleet / "deployments/second.yaml").read_text()
    assert hub.commit("org/later") in (fleet / "deployer.lock").read_text()


def test_the_hardware_step_shows_what_is_free_and_says_when_it_is_not_enough(
    app: DeployerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gpu(number: int, replica: str | None = None) -> GpuNow:
        return GpuNow(GpuSample(f"GPU-{number}", number, "H100", 80 * GIB, 0), replica)

    now = FleetNow(
        hosts={
            "h1": HostNow("h1", "up", 0.1, (gpu(0), gpu(1, "chat/0"))),
            "h2": HostNow("h2", "up", 0.1, (gpu(0), gpu(1)), memory_available=64 * GIB),
        }
    )
    monkeypatch.setattr(Session, "now", property(lambda _: now))

    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await to_review(pilot, wizard)
        await pilot.press("ctrl+o")
        await focus(pilot, wizard, "endpoint")
        await pilot.press("ctrl+o")
        await focus(pilot, wizard, "engine.ctranslate2.device")
        await see(pilot, "1 of 2 GPUs free")
        await see(pilot, "64.0 GiB of its memory free")
        await pilot.press("tab", "3")
        await see(pilot, "1 replica with 3 GPUs each wants more than is free: 3 GPUs on h1, h2, room for 0")
        await pilot.press("backspace", "2")
        await until(pilot, lambda: "more than is free" not in shown(pilot), "enough")

    travel(app, journey)


def test_a_read_only_view_writes_no_deployment(loaded: Fleet) -> None:
    app = DeployerApp(Session(loaded, read_only=True), tick_s=0.05)

    async def journey(pilot: Pilot[int]) -> None:
        await see(pilot, "chat")
        await pilot.press("colon", *"new", "enter")
        await see(pilot, "this is a read-only view")

    travel(app, journey)
