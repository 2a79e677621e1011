"""What the gateway on a real host refuses, in the shape that OpenAI's clients read: no key, a revoked key, too often, stopped."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.gguffile import write_gguf
from tests.lab.commands import REFERENCES, Deployer, deployed, post, question, write_deployment
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

KEYS = {"team-a": "sk-lab-a-0123456789", "team-b": "sk-lab-b-0123456789"}
QUESTION = question("limited", REFERENCES[0])


def limited(*names: str) -> str:
    keys = ", ".join(f"{{name: {name}, sha256: {hashlib.sha256(KEYS[name].encode()).hexdigest()}}}" for name in names)
    return f"""\
model: {{path: models/tiny-chat}}
engine: {{ctranslate2: {{quantization: float32, max_model_len: 512}}}}
endpoint: {{keys: [{keys}], rate_limit: 4/m, queue: {{timeout: 20s}}}}
placement: {{hosts: [lab-1]}}
"""


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    with deployed(lab_fleet, {"limited": limited("team-a", "team-b")}) as run:
        yield run


@pytest.fixture(scope="module")
def url(deployer: Deployer) -> str:
    return str(deployer.json("endpoint", "limited")["url"])


def refused(url: str, key: str | None) -> tuple[int, str, str]:
    status, found = post(f"{url}/chat/completions", QUESTION, key)
    assert set(found["error"]) == {"message", "type", "param", "code"}
    return status, found["error"]["type"], found["error"]["code"]


def client(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


def ask(url: str, key: str) -> str:
    with client(url, key) as asker:
        answer: Any = asker.chat.completions.create(**QUESTION)
    return str(answer.choices[0].message.content)


def test_without_a_key_and_over_the_rate(deployer: Deployer, url: str) -> None:
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert refused(url, None) == (401, "invalid_request_error", "invalid_api_key")
    with pytest.raises(openai.AuthenticationError):
        ask(url, "sk-unknown")
    assert [ask(url, KEYS["team-a"]) for _ in range(4)] == [REFERENCES[0]["text"]] * 4
    with pytest.raises(openai.RateLimitError) as found:
        ask(url, KEYS["team-a"])
    assert found.value.response.headers["retry-after"] == "15"
    assert ask(url, KEYS["team-b"]) == REFERENCES[0]["text"], "the rate is each key's own"


def test_by_the_name_of_its_model(url: str) -> None:
    root = url.removesuffix("/limited/v1")
    with client(f"{root}/v1", KEYS["team-b"]) as asker:
        assert [model.id for model in asker.models.list()] == ["limited"]
    assert ask(f"{root}/v1", KEYS["team-b"]) == REFERENCES[0]["text"]
    with client(f"{root}/v1", KEYS["team-b"]) as asker, pytest.raises(openai.NotFoundError):
        asker.chat.completions.create(**{**QUESTION, "model": "nobody"})


def test_a_revoked_key(deployer: Deployer, url: str) -> None:
    write_deployment(deployer.root, "limited", limited("team-b"))
    deployer("apply", "--yes")
    assert refused(url, KEYS["team-a"]) == (401, "invalid_request_error", "invalid_api_key")


def test_while_the_only_replica_starts_again_a_request_waits(deployer: Deployer, url: str) -> None:
    unit = deployer.json("status", "limited")["deployments"][0]["replicas"][0]["units"][0]["unit"]
    deployer.lab.run("lab-1", ["systemctl", "kill", "--signal=KILL", unit])
    assert ask(url, KEYS["team-b"]) == REFERENCES[0]["text"]


def test_a_stopped_deployment_keeps_its_address(deployer: Deployer, url: str) -> None:
    write_deployment(deployer.root, "limited", limited("team-b") + "state: stopped\n")
    deployer("apply", "--yes")
    assert refused(url, KEYS["team-b"]) == (503, "server_error", "deployment_stopped")
    assert refused(url, None)[0] == 401
    assert deployer.json("endpoint", "limited")["url"] == url


#: No server is started: only what a plan says of an imaginary GPU of 24 GiB is asked.
WIDE = """\
model: {path: models/tiny-gguf, file: tiny.gguf}
engine: {llamacpp: {program: /usr/bin/true, device: cuda, max_model_len: 1024}}
batch: {max_size: 20000}
endpoint: {open: true}
placement: {hosts: [lab-1], gpus: 1}
"""


def test_what_does_not_fit_its_gpu_is_refused_and_the_context_that_is_named_passes(
    deployer: Deployer, lab_fleet: LabFleet
) -> None:
    (lab_fleet.root / "models/tiny-gguf").mkdir(parents=True, exist_ok=True)
    write_gguf(lab_fleet.root / "models/tiny-gguf/tiny.gguf")
    file = write_deployment(lab_fleet.root, "wide", WIDE)
    deployer("lock")
    said = deployer("plan", "wide", exit_code=4).stdout
    assert re.search(r"wide does not fit on lab-1 GPU \d \(24 GiB\)", said)
    found = re.search(r"would fit: max_model_len (\d+)", said)
    assert found is not None, said
    file.write_text(file.read_text().replace("1024", found[1]))
    deployer("plan", "wide")
    file.unlink()
    deployer("lock")
