"""Engines beside vLLM and CTranslate2 on a real host: greedy answers of each equal the reference, streamed and not."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.lab.commands import REFERENCES, written
from tests.lab.conftest import LabFleet
from tests.lab.test_engines import asked

# torch is pushed and imported: as long as a vLLM
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

TRANSFORMERS = """\
model: {path: models/tiny-chat}
engine: {transformers: {device: cpu, dtype: float32}}
sampling: {temperature: 0, max_tokens: 48}
endpoint: {open: true}
placement: {hosts: [lab-2]}
"""


@pytest.fixture(scope="module")
def url(lab_fleet: LabFleet) -> Iterator[str]:
    run = written(lab_fleet, {"chat-transformers": TRANSFORMERS})
    run("lock")
    run("apply", "--yes", timeout=840)
    yield run.json("endpoint", "chat-transformers")["url"]
    (lab_fleet.root / "deployments/chat-transformers.yaml").unlink()
    run("prune", "--yes")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_transformers_answers_as_the_reference_does(url: str, stream: bool) -> None:
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        for reference in REFERENCES:
            said = asked(client, "chat-transformers", reference, stream)
            assert said.rstrip("\ufffd") == str(reference["text"]).rstrip("\ufffd")


def test_transformers_is_asked_by_its_own_name_only_and_lists_it(url: str) -> None:
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["chat-transformers"]
        answer = client.completions.create(model="chat-transformers", prompt="The host")
    assert answer.model == "chat-transformers"
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 48
