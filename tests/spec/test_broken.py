"""Show: a fleet with eight mistakes in four files gives eight messages in one run, each at its place."""

from pathlib import Path

import pytest

from deployer.errors import SpecError
from deployer.spec.load import load_fleet
from deployer.spec.problems import render

BROKEN = Path(__file__).parents[1] / "cases" / "broken"


@pytest.fixture
def problems(settings):
    with pytest.raises(SpecError) as caught:
        load_fleet(BROKEN, settings)
    assert caught.value.exit_code == 3
    return caught.value.problems


def test_eight_mistakes_in_four_files_give_eight_messages_each_at_its_place(problems):
    assert [problem.where for problem in problems] == [
        "deployer.yaml:4:19",
        "deployments/chat.yaml:5:10",
        "deployments/chat.yaml:9:5",
        "deployments/chat.yaml:11:1",
        "deployments/other.yaml:2:7",
        "deployments/other.yaml:6:13",
        "hosts/gpu-01.yaml:4:7",
        "hosts/gpu-01.yaml:5:7",
    ]


def test_the_text_is_what_a_person_can_act_on(problems):
    assert render(problems) + "\n" == (BROKEN / "expected.txt").read_text(encoding="utf-8")


def test_a_secret_written_into_a_file_is_not_repeated(problems):
    assert "poison" in (BROKEN / "deployments" / "chat.yaml").read_text(encoding="utf-8")
    assert "poison" not in render(problems)
    assert "poison" not in repr(problems)
