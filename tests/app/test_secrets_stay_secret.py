"""A poison string as token, key and password: it reaches the host's credential files and nothing else."""

import json
import os
import stat
from pathlib import Path

import pytest

from deployer.app.fleet import Fleet
from deployer.app.passwords import ENVIRONMENT, Passwords
from deployer.app.secretvalues import mask
from deployer.cli.main import main
from deployer.transport.fake import FakeHost

POISON = "poison-4711-do-not-show"


@pytest.fixture
def poisoned(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEAM_KEY", POISON)
    path = fleet / "deployments/chat.yaml"
    path.write_text(path.read_text().replace("{open: true}", "{keys: [{name: team, secret: {env: TEAM_KEY}}]}"))
    return fleet


def test_a_secret_is_in_no_output_no_plan_and_no_file_that_others_can_read(
    poisoned: Path, hosts: dict[str, FakeHost], capfd: pytest.CaptureFixture[str]
) -> None:
    for words in (["plan"], ["plan", "--json"], ["apply", "--yes", "--json"], ["status", "--json"], ["hosts", "probe", "--json"]):
        assert main([*words, "-C", str(poisoned)]) == 0
    said = capfd.readouterr()
    assert POISON not in said.out + said.err
    for folder in (poisoned, *(host.root for host in hosts.values())):
        for file in (Path(top, name) for top, _, names in os.walk(folder) for name in names):
            if file.is_file() and not file.is_symlink() and POISON.encode() in file.read_bytes():
                assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
                assert "/etc/deployer/" in str(file), file


def test_a_changed_secret_is_a_change_that_shows_no_value(
    poisoned: Path, hosts: dict[str, FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Fleet.load(poisoned) as fleet:
        assert fleet.apply().exit_code == 0
        assert fleet.plan().plan.empty
    monkeypatch.setenv("TEAM_KEY", POISON + "-2")
    with Fleet.load(poisoned) as fleet:
        planned = fleet.plan()
        assert not planned.plan.empty
        assert "poison" not in planned.text() + json.dumps(str(planned.plan))
    monkeypatch.delenv("TEAM_KEY")
    with Fleet.load(poisoned) as fleet:
        assert fleet.plan().plan.empty  # not at hand: kept as on the host


def test_what_was_read_is_masked_in_texts_for_people(poisoned: Path) -> None:
    with Fleet.load(poisoned) as fleet:
        assert fleet.secrets.reveal("env:TEAM_KEY") == POISON
    assert mask(f"a {POISON} b") == "a ••• b"


def test_the_sudo_password_is_asked_once_and_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    asked: list[str] = []
    passwords = Passwords(lambda prompt: asked.append(prompt) or POISON)
    found = [passwords.sudo(host) for host in ("h1", "h2")]
    assert len(asked) == 1
    assert POISON not in repr(found)
    monkeypatch.setenv(ENVIRONMENT, POISON)
    from_environment = Passwords(None).sudo("h1")
    assert from_environment is not None
    assert from_environment.reveal() == POISON
    monkeypatch.delenv(ENVIRONMENT)
    assert Passwords(None).sudo("h1") is None
