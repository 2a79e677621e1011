"""Two engines, one model, two real hosts: greedy completions of both equal the reference, streamed and not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.lab.commands import REFERENCES, Deployer, written
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

CTRANSLATE2 = """\
model: {path: models/tiny-chat}
engine: {ctranslate2: {quantization: float32}}
sampling: {temperature: 0, max_tokens: 48}
endpoint: {open: true}
placement: {hosts: [lab-1]}
"""
# one process instead of three, and nothing compiled: what a small machine starts quickest
VLLM = """\
model: {path: models/tiny-chat}
engine:
  vllm:
    variant: cpu
    dtype: float32
    max_model_len: 512
    args: {enforce_eager: true}
    env: {VLLM_ENABLE_V1_MULTIPROCESSING: "0", VLLM_WORKER_MULTIPROC_METHOD: fork}
sampling: {temperature: 0, max_tokens: 48}
endpoint: {open: true}
placement: {hosts: [lab-2]}
"""
ENGINES = {"chat": CTRANSLATE2, "chat-vllm": VLLM}


@pytest.fixture(scope="module")
def urls(lab_fleet: LabFleet) -> Iterator[dict[str, str]]:
    run = written(lab_fleet, ENGINES)
    run("lock")
    run("apply", "--yes", timeout=840)
    yield {name: run.json("endpoint", name)["url"] for name in ENGINES}
    for name in ENGINES:
        (lab_fleet.root / "deployments" / f"{name}.yaml").unlink()
    run("prune", "--yes")


def asked(client: Any, name: str, reference: dict[str, Any], stream: bool) -> str:
    request = {"model": name, "max_tokens": reference["max_tokens"], "temperature": 0, "stream": stream}
    if "prompt" in reference:
        found = client.completions.create(**request, prompt=reference["prompt"])
        return "".join(p.choices[0].text for p in found) if stream else str(found.choices[0].text)
    found = client.chat.completions.create(**request, messages=reference["messages"])
    if stream:
        return "".join(p.choices[0].delta.content or "" for p in found if p.choices)
    return str(found.choices[0].message.content)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", ENGINES)
def test_greedy_answers_equal_the_reference(urls: dict[str, str], name: str, stream: bool) -> None:
    with OpenAI(base_url=urls[name], api_key="none", max_retries=0) as client:
        for reference in REFERENCES:
            # a sequence of bytes that the length cuts in the middle of a character ends in U+FFFD in one engine only
            assert asked(client, name, reference, stream).rstrip("\ufffd") == str(reference["text"]).rstrip("\ufffd")


@pytest.mark.parametrize("name", ENGINES)
def test_what_the_spec_says_of_sampling_is_what_a_plain_request_gets(urls: dict[str, str], name: str) -> None:
    with OpenAI(base_url=urls[name], api_key="none", max_retries=0) as client:
        plain = [client.completions.create(model=name, prompt="The host") for _ in range(2)]
    assert plain[0].choices[0].text == plain[1].choices[0].text
    assert all(p.usage is not None and p.usage.completion_tokens <= 48 for p in plain)


def test_what_vllm_said_of_its_cache_is_near_what_the_plan_computes_and_counts_from_now_on(
    lab_fleet: LabFleet, urls: dict[str, str]
) -> None:
    said = Deployer(lab_fleet)("plan", "--explain", "chat-vllm").stdout
    found = re.search(r"tokens of cache in 1\.00 GiB; computed \d+, ([\d.]+) % off", said)
    assert found is not None, said
    assert float(found[1]) <= 3
    assert "measured  at the start of" in said
