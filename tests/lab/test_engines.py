"""Two engines, one model, two real hosts: greedy completions of both equal the reference, streamed and not. And programs that
others wrote for vLLM's server run unchanged against CTranslate2's.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from deployer.app.fleet import Fleet
from deployer.execute.judge import judge_hosts
from tests.lab.commands import REFERENCES, Deployer, written
from tests.lab.conftest import LabFleet
from tests.lab.programs import EVALUATION, Endpoint, LmEval, bench_serve

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

KEY = "sk-lab-engines-0123456789"
CTRANSLATE2 = f"""\
model: {{path: models/tiny-chat}}
engine: {{ctranslate2: {{quantization: float32}}}}
sampling: {{temperature: 0, max_tokens: 48}}
endpoint: {{keys: [{{name: team, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}]}}
placement: {{hosts: [lab-1]}}
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
    with OpenAI(base_url=urls[name], api_key=KEY, max_retries=0) as client:
        for reference in REFERENCES:
            # a sequence of bytes that the length cuts in the middle of a character ends in U+FFFD in one engine only
            assert asked(client, name, reference, stream).rstrip("\ufffd") == str(reference["text"]).rstrip("\ufffd")


@pytest.mark.parametrize("name", ENGINES)
def test_what_the_spec_says_of_sampling_is_what_a_plain_request_gets(urls: dict[str, str], name: str) -> None:
    with OpenAI(base_url=urls[name], api_key=KEY, max_retries=0) as client:
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


@pytest.mark.parametrize(("backend", "route"), [("openai", "/v1/completions"), ("openai-chat", "/v1/chat/completions")])
def test_vllm_bench_serve_measures_a_ctranslate2_deployment(
    lab_fleet: LabFleet, urls: dict[str, str], backend: str, route: str
) -> None:
    random = ("--dataset-name", "random", "--random-input-len", "24", "--random-output-len", "12", "--ignore-eos")
    load = ("--num-prompts", "12", "--max-concurrency", "4")
    endpoint = Endpoint("chat", urls["chat"], KEY)
    found = bench_serve(lab_fleet, "lab-2", endpoint, "--backend", backend, "--endpoint", route, *random, *load)
    assert (found["completed"], found["failed"], found["total_output_tokens"]) == (12, 0, 12 * 12), found
    assert not any(found["errors"])
    assert found["median_ttft_ms"] > 0
    assert all(len(gaps) > 1 for gaps in found["itls"]), "each answer came in pieces"


def test_lm_eval_finds_of_a_ctranslate2_deployment_what_transformers_finds_of_the_model(
    urls: dict[str, str], tmp_path: Path
) -> None:
    """Multiple choice, free text, rolling likelihood: token ids and echoed probabilities, with the endpoint's own tokenizer."""
    samples = LmEval(tmp_path)(Endpoint("chat", urls["chat"], KEY), "choose", "say", "surprise", max_length=1024)
    references = json.loads((EVALUATION / "references.json").read_text(encoding="utf-8"))
    for one, wanted in zip(samples["choose"], references["choose"], strict=True):
        assert [float(likelihood) for likelihood, _ in one["filtered_resps"]] == pytest.approx([w for w, _ in wanted], abs=2e-3)
        assert [greedy == "True" for _, greedy in one["filtered_resps"]] == [greedy for _, greedy in wanted]
    assert [one["filtered_resps"] for one in samples["say"]] == [[text] for text in references["say"]]
    found = [float(one["filtered_resps"][0]) for one in samples["surprise"]]
    assert found == pytest.approx(references["surprise"], abs=2e-3)


def test_a_plan_asks_vllm_itself_about_an_option_that_changes(
    lab_fleet: LabFleet, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # a small host that has other things to do needs longer than a person waits
    monkeypatch.setattr("deployer.execute.judge.judge_hosts", partial(judge_hosts, timeout_s=110.0))
    file = lab_fleet.root / "deployments/chat-vllm.yaml"
    text = file.read_text()
    changed = text.replace("enforce_eager: true", "enforce_eager: true, max_num_batched_tokens: 4")
    file.write_text(f"{changed}batch: {{max_size: 8}}\n")
    try:
        with Fleet.load(lab_fleet.root) as fleet:
            plan = fleet.plan().plan
    finally:
        file.write_text(text)
    assert [(one.code, one.deployment) for one in plan.refusals] == [("options", "chat-vllm")], [n.what for n in plan.notices]
    [refused] = plan.refusals
    assert "the engine refuses its options: max_num_batched_tokens (4) must be greater" in refused.what
    assert refused.source is not None
    assert refused.source.file == "deployments/chat-vllm.yaml"
    Deployer(lab_fleet)("plan", "chat-vllm", "--detailed-exitcode")  # 0: as it was, nothing is to be done
