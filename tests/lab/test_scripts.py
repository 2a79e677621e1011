"""Scripts and the request log on a real host: a transformer before an engine, one that cannot load, a rollback of it alone."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.lab.commands import Deployer, deployed, forget, post, write_deployment
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]

NAME = "scripted"
KEY = "sk-lab-scripted-0123456789"
POISON = "4111-1111-1111-1111"
TEXT = """\
model: {path: models/tiny-chat}
engine: {ctranslate2: {quantization: float32, device: cpu}}
sampling: {temperature: 0, max_tokens: 8}
endpoint: {keys: [{name: team-a, sha256: SHA}]}
placement: {hosts: [lab-1]}
handler: {transformer: scripts/mark.py}
logging: {requests: full, sink: SINK, redact: ['[0-9]{4}(-[0-9]{4}){3}']}
"""
SCRIPT = """\
class Transformer:
    def load(self):
        pass
    def postprocess(self, response, request):
        response["mark"] = "first"
        return response
"""


def text(sink: str) -> str:
    return TEXT.replace("SINK", sink).replace("SHA", hashlib.sha256(KEY.encode()).hexdigest())


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    folder = lab_fleet.root / "scripts"
    folder.mkdir()
    (folder / "mark.py").write_text(SCRIPT)
    with deployed(lab_fleet, {NAME: text("journald")}) as run:
        yield run
    places = ("/var/log/deployer", "/var/log/private/deployer")
    left = lab_fleet.run("lab-1", ["find", *places, "-name", "requests.jsonl*"], check=False).stdout
    assert f"/{NAME}/" not in left, "the files of the request log went with the deployment"


def mark(deployer: Deployer) -> str:
    url = deployer.json("endpoint", NAME)["url"]
    body = {"model": NAME, "messages": [{"role": "user", "content": f"my card is {POISON}"}]}
    status, answer = post(f"{url}/chat/completions", body, KEY)
    assert status == 200, answer
    return str(answer["mark"])


@pytest.mark.parametrize("sink", ["journald", "file"])
def test_records_are_read_back_without_the_poison(deployer: Deployer, sink: str) -> None:
    write_deployment(deployer.root, NAME, text(sink))
    deployer("apply", "--yes")
    assert mark(deployer) == "first"
    records = deployer("logs", NAME, "--requests", "--json").stdout
    assert '"route": "/v1/chat/completions"' in records or '"route":"/v1/chat/completions"' in records
    assert "[redacted]" in records
    assert '"key":"team-a"' in records.replace('": "', '":"')
    assert POISON not in records + deployer("logs", NAME).stdout
    assert "serve: ready" in deployer("logs", NAME).stdout


def test_a_script_that_cannot_load_leaves_the_old_one_and_a_rollback_brings_a_script_back_alone(deployer: Deployer) -> None:
    script = deployer.root / "scripts" / "mark.py"
    script.write_text(SCRIPT.replace("pass", "raise ValueError('not today')"))
    failed = deployer("apply", "--yes", exit_code=5)
    assert "mark.py, line 3, in load: ValueError: not today" in failed.stdout + failed.stderr
    assert mark(deployer) == "first"
    script.write_text(SCRIPT.replace('"first"', '"second"'))
    deployer("apply", "--yes")
    assert mark(deployer) == "second"
    deployer("rollback", NAME, "--yes")
    assert mark(deployer) == "first"
    deployer("apply", "--release", NAME, "--yes")
    assert mark(deployer) == "second"


#: Answers with the GPUs that it was given; the GPUs of the lab are imaginary, so it does nothing with them.
WHERE = """\
import os


class Predictor:
    def load(self):
        pass

    def predict(self, request):
        return {"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}
"""
SHARING = """\
model: {path: models/tiny-chat}
engine: {predictor: {}}
handler: {predictor: scripts/where.py}
endpoint: {open: true}
placement: {hosts: [lab-1], gpus: 1, gpu_share: SHARE}
"""


def gpu(deployer: Deployer, name: str) -> str:
    url = deployer.json("endpoint", name)["url"]
    status, answer = post(f"{url}/predict", {"model": name, "inputs": ["where?"]})
    assert status == 200, answer
    return str(answer["gpus"])


def test_two_stand_on_one_gpu_until_one_of_them_wants_more_than_is_left(deployer: Deployer) -> None:
    (deployer.root / "scripts/where.py").write_text(WHERE)
    for name, share in (("left", "60%"), ("right", "40%")):
        write_deployment(deployer.root, name, SHARING.replace("SHARE", share))
    try:
        deployer("apply", "left", "right", "--yes")
        shared = gpu(deployer, "left")
        assert shared.startswith("GPU-")
        assert gpu(deployer, "right") == shared
        write_deployment(deployer.root, "right", SHARING.replace("SHARE", "50%"))
        deployer("apply", "right", "--yes")
        assert gpu(deployer, "right") not in ("", shared)
        assert gpu(deployer, "left") == shared
    finally:
        forget(deployer.lab, "left", "right")
