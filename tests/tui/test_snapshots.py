"""How a few screens look, in three sizes: an SVG of each, and its text beside it for those who read. After a wanted change
DEPLOYER_SNAPSHOTS=write writes them anew; look at every one.
"""

import difflib
import json
import os
from pathlib import Path

import pytest
from textual.pilot import Pilot

from deployer.app.fleet import Fleet
from deployer.transport.fake import FakeHost
from tests.tui.conftest import shown, travel
from tests.tui.scenes import SCENES, application, changed, settled

FOLDER = Path(__file__).parent / "snapshots"
SIZES = [(80, 24), (120, 40), (160, 50)]
SHOWN = [
    *(("fleet", size) for size in SIZES),
    *(("plan", size) for size in SIZES),
    ("wrong-files", SIZES[0]),
    ("help", SIZES[1]),
    ("catalogue", SIZES[1]),
]


@pytest.fixture
def scenery(loaded: Fleet, hosts: dict[str, FakeHost], monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Applied, then changed; the environment is production. How long starts took is the same on every machine."""
    settings = loaded.root / "deployer.yaml"
    settings.write_text(f"{settings.read_text()}environment: prod\n")
    with Fleet.load(loaded.root) as before:
        assert before.plan().apply().exit_code == 0
    for noted in (found for host in hosts.values() for found in host.root.glob("var/lib/deployer/*/*/starts.json")):
        noted.write_text(json.dumps([{"at": "2026-11-01T10:00:00.000Z", "revision": 1, "start_s": 37.0, "down_s": 38.2}]))
    changed(loaded.root)
    return Fleet.load(loaded.root)


@pytest.mark.parametrize(("name", "size"), SHOWN, ids=[f"{name}-{width}x{height}" for name, (width, height) in SHOWN])
def test_a_screen_looks_as_it_did(scenery: Fleet, name: str, size: tuple[int, int]) -> None:
    seen: list[str] = []

    async def journey(pilot: Pilot[int]) -> None:
        await SCENES[name](pilot)
        seen.extend([settled(pilot.app.export_screenshot(title="deployer")), settled(shown(pilot))])

    travel(application(scenery), journey, size)
    svg, text = seen
    file = FOLDER / f"{name}-{size[0]}x{size[1]}"
    if os.environ.get("DEPLOYER_SNAPSHOTS") == "write":
        file.with_suffix(".svg").write_text(svg)
        file.with_suffix(".txt").write_text(f"{text}\n")
        return
    kept = file.with_suffix(".txt").read_text().splitlines()
    difference = "\n".join(difflib.unified_diff(kept, text.splitlines(), "as it was", "as it is", lineterm=""))
    assert not difference, f"{file.name}:\n{difference}"
    assert svg == file.with_suffix(".svg").read_text(), f"{file.name}: the text is the same, the look is not"


def test_the_kept_screens_are_those_that_are_looked_at() -> None:
    kept = {file.name for file in FOLDER.iterdir()}
    assert kept == {f"{name}-{width}x{height}.{kind}" for name, (width, height) in SHOWN for kind in ("svg", "txt")}
