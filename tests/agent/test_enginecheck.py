"""What is kept of an engine's judgements."""

import os

import pytest

from deployer.agent import judge
from deployer.transport.fake import FakeHost


def test_the_oldest_answers_are_forgotten_and_never_the_one_just_given(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "KEPT", 2)
    for age, key in enumerate(("f" * 8, "b" * 8, "0" * 8)):
        judge.note(host.machine, key)
        assert judge.noted(host.machine, key)
        os.utime(host.path(f"{judge.FOLDER}/{key}.json"), (1000 + age, 1000 + age))
    assert sorted(path.stem for path in host.path(judge.FOLDER).iterdir()) == ["0" * 8, "b" * 8]
