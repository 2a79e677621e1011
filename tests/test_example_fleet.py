"""The example fleet of the repository root: valid, locked, and planned and applied over simulated hosts."""

import shutil
from pathlib import Path

import pytest

from deployer.cli.main import main
from deployer.transport.fake import FakeHost, FakeTransport

ROOT = Path(__file__).parents[1]
HOSTS = {"gpu-01": 8, "gpu-02": 8, "cpu-01": 0}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A copy, so that saved plans and caches stay out of the checkout."""
    root = tmp_path / "fleet"
    root.mkdir()
    for name in ("deployer.yaml", "deployer.lock"):
        shutil.copy(ROOT / name, root)
    for name in ("deployments", "hosts", "locks", "models", "schemas"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("lab-*.yaml", "corpus"))
    return root


def test_the_example_fleet_is_valid(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-C", str(fleet)]) == 0
    assert "2 deployments, 3 hosts, no problems" in capsys.readouterr().out


def test_every_example_file_names_its_schema_for_editors() -> None:
    files = [f for root in (ROOT, ROOT / "examples/engines") for f in (root / "deployer.yaml", *root.glob("*/*.yaml"))]
    assert len(files) >= 6
    for file in files:
        first = file.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema="), file
        assert (file.parent / first.partition("=")[2]).is_file(), first


def test_the_example_fleet_is_planned_for_its_hosts(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = FakeTransport([FakeHost(name, gpus=gpus) for name, gpus in HOSTS.items()])
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: transport)
    code = main(["plan", "--detailed-exitcode", "-C", str(fleet)])
    said = capsys.readouterr()
    assert code == 2, said.err
    for line in ("3 of 3 hosts probed", "chat/0", "writer/0", "deployments/chat.yaml:", "no downtime"):
        assert line in said.out


def test_the_example_of_the_other_engines_is_valid_and_locked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-C", str(ROOT / "examples/engines")]) == 0
    assert "no problems" in capsys.readouterr().out
