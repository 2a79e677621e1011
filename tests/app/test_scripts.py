"""Scripts of a deployment on fake hosts: pushed once per content, and brought back alone by a rollback."""

import json
import shutil
from pathlib import Path

import pytest

from deployer.app.fleet import Fleet
from deployer.errors import SpecError
from deployer.state.observed import Reached
from deployer.transport.fake import FakeHost, FakeTransport

EXAMPLE = Path(__file__).parents[2] / "examples" / "handlers"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, folder)
    (folder / "deployments" / "polite.yaml").unlink()
    transport = FakeTransport([FakeHost("cpu-01")])
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: transport)
    return folder


def replica(fleet: Fleet) -> dict[str, object]:
    reached = fleet.probe()["cpu-01"]
    assert isinstance(reached, Reached)
    found = reached.probe["records"]["intents"]["resources"]
    [one] = [r for r in found if r["kind"] == "replica"]
    [config] = [json.loads(f["content"]) for f in one["payload"]["files"] if f["path"].endswith("handler.json")]
    return {**config, "unit": one["payload"]["unit"], "kinds": sorted({r["kind"] for r in found})}


def test_a_script_that_changed_is_another_revision_and_comes_back_alone(root: Path) -> None:
    script = root / "handlers" / "intents" / "predictor.py"
    with Fleet.load(root) as fleet:
        assert fleet.apply(why="first").exit_code == 0
        first = replica(fleet)
        assert (first["revision"], first["predictor"], first["upstream"]) == ("1", "predictor.py", None)
        assert "scripts" in first["kinds"]
        assert fleet.plan().plan.empty
        script.write_text(script.read_text() + "\n# better\n")
        fleet = fleet.again()
        planned = fleet.plan()
        assert [c.name for c in planned.plan.changes if c.kind == "scripts"] != []
        assert [c.kind for c in planned.plan.changes if c.kind in ("environment", "model", "tool")] == []
        assert planned.apply(why="better").exit_code == 0
        second = replica(fleet)
        assert second["revision"] == "2"
        assert second["scripts"] != first["scripts"]
        assert fleet.rollback("intents", why="worse").apply().exit_code == 0
        third = replica(fleet)
        assert (third["scripts"], third["unit"], third["revision"]) == (first["scripts"], first["unit"], "1")


def test_what_the_scripts_settings_cannot_be_is_said_before_anything_moves(root: Path) -> None:
    file = root / "deployments" / "intents.yaml"
    text = file.read_text()
    for old, new, said in [
        ('LEAST_SCORE: "60"', 'REVISION: "60"', "env may not hold REVISION"),
        ("predictor: handlers/intents  ", "transformer: handlers/polite.py  ", "the engine predictor needs handler.predictor"),
        ("predictor: {paths: [/v1/predict],", "predictor: {paths: [/metrics],", "paths"),
    ]:
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(SpecError) as caught:
            Fleet.load(root)
        assert any(said in p.message for p in caught.value.problems), caught.value.problems
