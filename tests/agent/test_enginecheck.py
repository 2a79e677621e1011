"""What is kept of an engine's judgements."""

import json
import os
from io import BytesIO

import pytest

from deployer.agent import judge
from deployer.agent.main import serve
from deployer.agent.talk import Talk
from deployer.transport.fake import FakeHost


def test_the_oldest_answers_are_forgotten_and_never_the_one_just_given(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "KEPT", 2)
    for age, key in enumerate(("f" * 8, "b" * 8, "0" * 8)):
        judge.note(host.machine, key)
        assert judge.noted(host.machine, key)
        os.utime(host.path(f"{judge.FOLDER}/{key}.json"), (1000 + age, 1000 + age))
    assert sorted(path.stem for path in host.path(judge.FOLDER).iterdir()) == ["0" * 8, "b" * 8]


def test_what_is_more_than_is_asked_at_once_is_said_to_be_so(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "MOST", 2)
    keys = [f"{number:08x}" for number in range(5)]
    for key in keys[:2]:
        judge.note(host.machine, key)
    questions = [{"key": key} for key in keys]
    asked = json.dumps({"fleet": {"id": "0123abcd", "name": "acme"}, "questions": questions}).encode() + b"\n"
    out = BytesIO()
    assert serve(host.machine, "judge", Talk(BytesIO(asked), out)) == 0
    said = {one["key"]: (one["state"], one["said"]) for one in map(json.loads, out.getvalue().splitlines()) if "key" in one}
    late = ("late", "it is one of 3 more than the 2 that are asked at once")
    assert said == {**dict.fromkeys(keys[:2], ("well", "")), **dict.fromkeys(keys[2:], late)}
