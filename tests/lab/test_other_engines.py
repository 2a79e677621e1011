"""Engines beside vLLM and CTranslate2 on a real host: greedy answers of each equal the reference, streamed and not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.gguffile import write_gguf
from tests.lab.commands import REFERENCES, ROOT, write_settings, written
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


#: Where `script/llama-server` has put its wheel: building it takes ten minutes, so that is not done here.
WHEELS = os.environ.get("DEPLOYER_LLAMA_SERVER", "")
LLAMACPP = """\
model: {path: models/tiny-gguf, file: tiny.gguf}
engine: {llamacpp: {max_model_len: 512}}
sampling: {temperature: 0, max_tokens: 48}
endpoint: {open: true}
placement: {hosts: [lab-2]}
"""


@pytest.fixture(scope="module")
def llamacpp(lab_fleet: LabFleet) -> Iterator[str]:
    if not (WHEELS and list(Path(WHEELS).glob("deployer_llama_server-*.whl"))):
        pytest.skip("DEPLOYER_LLAMA_SERVER names no folder with a wheel of script/llama-server")
    run = written(lab_fleet, {"chat-gguf": LLAMACPP})
    with (lab_fleet.root / "deployer.yaml").open("a") as settings:
        settings.write(f"packages: {{find_links: [{WHEELS}]}}\n")
    (lab_fleet.root / "models/tiny-gguf").mkdir(parents=True, exist_ok=True)
    write_gguf(lab_fleet.root / "models/tiny-gguf/tiny.gguf")
    run("lock")
    run("apply", "--yes", timeout=600)
    yield run.json("endpoint", "chat-gguf")["url"]
    (lab_fleet.root / "deployments/chat-gguf.yaml").unlink()
    run("prune", "--yes")
    write_settings(lab_fleet.root)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_llamacpp_answers_as_the_reference_does(llamacpp: str, stream: bool) -> None:
    with OpenAI(base_url=llamacpp, api_key="none", max_retries=0) as client:
        for reference in REFERENCES:
            said = asked(client, "chat-gguf", reference, stream)
            assert said.rstrip("\ufffd") == str(reference["text"]).rstrip("\ufffd")


OLLAMA = """\
model: {path: models/tiny-gguf, file: tiny.gguf}
engine: {ollama: {max_model_len: 512}}
sampling: {max_tokens: 48}
endpoint: {open: true}
placement: {hosts: [lab-3]}
"""


def test_an_ollama_gets_the_model_and_answers_where_a_host_has_one(lab_fleet: LabFleet) -> None:
    """A stand-in for its program: what of ours is between the unit and its API is real."""
    run = written(lab_fleet, {"chat-ollama": OLLAMA})
    (lab_fleet.root / "models/tiny-gguf").mkdir(parents=True, exist_ok=True)
    write_gguf(lab_fleet.root / "models/tiny-gguf/tiny.gguf")
    run("lock")
    assert "/usr/local/bin/ollama is not on lab-3" in run("plan", exit_code=4).stdout
    program = (ROOT / "tests/engines/ollama_standin.py").read_text()
    lab_fleet.run("lab-3", ["tee", "/usr/local/bin/ollama"], stdin=program)
    lab_fleet.run("lab-3", ["chmod", "755", "/usr/local/bin/ollama"])
    run("apply", "--yes")
    with OpenAI(base_url=run.json("endpoint", "chat-ollama")["url"], api_key="none", max_retries=0) as client:
        assert client.completions.create(model="chat-ollama", prompt="Hello").choices[0].text == "the stand-in answers"
    (lab_fleet.root / "deployments/chat-ollama.yaml").unlink()
    run("prune", "--yes")
    lab_fleet.run("lab-3", ["rm", "/usr/local/bin/ollama"])
