"""`deployer validate` with policies: the examples of the documentation, exit codes, JSON."""

import json
import shutil
from pathlib import Path

import pytest

from deployer.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "docs/examples/policies"
CHAT = "name: chat\ntags: [prod]\nmodel: {repo: org/name}\nengine: {vllm: {}}\nlogging: {requests: metadata}\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "policies")
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployer.yaml").write_text("id: 7f3a9c21\nname: acme\nenvironment: prod\n")
    (tmp_path / "deployments/chat.yaml").write_text(CHAT)
    return tmp_path


def test_a_policy_that_denies_is_a_refusal_with_both_places(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-C", str(fleet)]) == 4
    said = capsys.readouterr().out
    assert "chat: every prod deployment has two replicas on different hosts\n    replicas is 1: 1 is less than" in said
    assert "    policy two-replicas, policies/two-replicas.yaml:8\n    do: write replicas 2" in said
    assert "chat: in the prod fleet a model of a hub is named by its commit\n    model.revision is main: " in said
    assert "only a plan can judge: licences, two-replicas" in said


def test_a_policy_that_warns_changes_no_exit_code(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fleet / "deployments/chat.yaml").write_text(CHAT + "replicas: 2\n")
    assert main(["validate", "--json", "-C", str(fleet)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert [(p["policy"], p["level"], p["rule"]["file"]) for p in found["policies"]] == [
        ("pinned-revision", "warn", "policies/pinned-revision.yaml")
    ]
    assert found["waiting"] == ["licences", "two-replicas"]


def test_files_that_are_wrong_come_before_policies(fleet: Path) -> None:
    (fleet / "deployments/chat.yaml").write_text(CHAT + "replica: 2\n")
    assert main(["validate", "-C", str(fleet)]) == 3
