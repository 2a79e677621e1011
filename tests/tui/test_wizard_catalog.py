"""The wizard offers the catalogue: narrowed by what is typed, taken with what an entry suggests."""

import threading
from typing import Any

import pytest
from textual.pilot import Pilot

from deployer.app.catalog import Shelved, entries
from deployer.app.catalogfits import Fits
from deployer.app.draft import Draft
from deployer.app.drafting import is_taken, taken
from deployer.app.fleet import Fleet
from deployer.spec.catalog import CatalogEntry
from deployer.tui.app import DeployerApp
from deployer.tui.glyphs import UNICODE
from deployer.tui.line import text_of
from deployer.tui.screens.wizardlines import catalog_about, catalog_row
from tests.tui.conftest import see, shown, travel, until
from tests.tui.test_wizard import focus, forward, opened, write


def entry(name: str, **more: object) -> CatalogEntry:
    return CatalogEntry.model_validate(
        {"name": name, "about": "a model", "kind": "chat", "repo": f"org/{name}", "engines": {"vllm": {}}, **more}
    )


def test_an_entry_gives_its_engine_settings_and_a_name_and_another_takes_them_back(loaded: Fleet) -> None:
    settings = {"max_model_len": 8192, "args": {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}}
    draft = taken(Draft(), entry("tiny-1.5", engines={"unheard": {}, "vllm": settings}, gated=True))
    assert is_taken(draft)
    checked = draft.check(loaded.root)
    assert "  catalog: tiny-1.5\n" in checked.text
    assert "name: tiny-1-5\n" in checked.text
    assert "token: {env: HF_TOKEN}" in checked.text
    assert "accept_license" not in checked.text
    body = checked.text[checked.text.index("engine:") :].split("# endpoint")[0]
    assert [line.split("   #")[0] for line in body.splitlines()] == [
        "engine:",
        "  vllm:",
        "    max_model_len: 8192",
        "    args:",
        "      enable_auto_tool_choice: true",
        "      tool_call_parser: hermes",
    ]
    other = taken(draft, entry("small", engines={"ctranslate2": {"quantization": "int8"}}))
    assert (other.get("name"), other.get("engine")) == ("small", "ctranslate2")
    assert "args" not in other.yaml()
    assert taken(draft.say("name", "mine"), entry("small")).get("name") == "mine"
    assert not is_taken(draft.say("model.catalog", "tiny"))


@pytest.mark.parametrize(
    ("fits", "row", "about"),
    [
        (Fits(hosts=("h1",), computed=True), "✓ h1", "fits h1"),
        (Fits(shorter=("h1",), context=8192, computed=True), "✓ to 8192 tokens", "fits h1 with requests of at most 8192 tokens"),
        (Fits(weights=("h1",)), "? h1", "its weights fit h1"),
        (Fits(needs=18 << 30, computed=True), "✗ needs 18 GiB", "fits no host: needs 18 GiB"),
        (Fits(lacks="size not known", why="nobody says it"), "size not known", "is not computed · nobody says it"),
    ],
)
def test_how_it_fits_is_said_in_its_row_and_below(fits: Fits, row: str, about: str) -> None:
    shelf = Shelved(entry("tiny"), "catalog/tiny.yaml", True)
    said = text_of(catalog_row(shelf, fits, chosen=False, asking=False, glyphs=UNICODE).left)
    assert row in said
    assert any(about in text_of(one) for one in catalog_about(shelf, fits, UNICODE))


def test_every_entry_of_ours_makes_a_draft_that_validates(loaded: Fleet) -> None:
    found = entries(loaded.root)
    assert len(found) > 40
    chosen = [found[name].entry for name in sorted(found)][:: max(1, len(found) // 6)]
    for one in chosen:
        checked = taken(Draft(), one).check(loaded.root)
        assert not checked.problems, (one.name, checked.problems)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_it_is_found_by_typing_and_ends_in_the_file(app: DeployerApp, size: tuple[int, int]) -> None:
    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("left")
        await see(pilot, "< the catalogue >")
        await see(pilot, "PARAMETERS")
        await pilot.press("tab")
        await focus(pilot, wizard, "model.catalog")
        await write(pilot, "qwen3-8b")
        await until(pilot, lambda: "bge-" not in shown(pilot), "the narrowed list")
        assert "8.2B" in shown(pilot)
        await pilot.press("enter")
        await see(pilot, "* qwen3-8b")
        assert wizard.draft.get("engine") == "vllm"
        await forward(pilot, wizard, "engine", "engine")
        assert wizard.draft.get("name") == "qwen3-8b"
        await forward(pilot, wizard, "parameters", "name")
        await forward(pilot, wizard, "hardware")
        await forward(pilot, wizard, "endpoint", "endpoint")
        await forward(pilot, wizard, "review")
        await see(pilot, "catalog: qwen3-8b")
        await until(pilot, lambda: wizard.checked is not None and wizard.checked.spec is not None, "a draft that is right")

    travel(app, journey, size)


def test_the_hosts_that_fit_come_later_and_typing_does_not_wait(app: DeployerApp, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployer.tui.screens import wizardform

    known, counted = threading.Event(), threading.get_ident()
    real = wizardform.of_fleet

    def late(*given: Any) -> Any:
        nonlocal counted
        counted = threading.get_ident()
        assert known.wait(20)
        return real(*given)

    monkeypatch.setattr(wizardform, "of_fleet", late)

    async def journey(pilot: Pilot[int]) -> None:
        wizard = await opened(pilot)
        await pilot.press("left")
        await see(pilot, "FITS")
        await pilot.press("tab")
        await focus(pilot, wizard, "model.catalog")
        await write(pilot, "llama-3.1")
        await until(pilot, lambda: "bge-" not in shown(pilot), "the narrowed list")
        assert "h1, h2" not in shown(pilot)
        known.set()
        await see(pilot, "h1, h2")
        assert counted != threading.get_ident()
        await pilot.press("enter")
        await see(pilot, "fits h1, h2")

    travel(app, journey)
