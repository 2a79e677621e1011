"""The main job on a real host, over SSH as a user with sudo: from YAML to an answer, and back to nothing."""

import json
from collections.abc import Iterator

import pytest

from tests.lab.commands import REFERENCES, Deployer, post, question, text_of, until, write_deployment, written
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

KEY = "sk-lab-0123456789"
CHAT = """\
description: Team chat
model: {path: models/tiny-chat}
engine:
  ctranslate2:
    quantization: float32
    max_model_len: 512
endpoint: {open: true}
placement: {hosts: [lab-1]}
"""


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    run = written(lab_fleet, {"chat": CHAT})
    (lab_fleet.root / "deployer.lock").unlink(missing_ok=True)  # of the tests before
    run("validate")
    run("plan", exit_code=3)  # there is no lock yet, and it says so
    run("lock")
    run("validate")
    yield run
    for file in (lab_fleet.root / "deployments").glob("*.yaml"):
        file.unlink()
    run("prune", "--yes", exit_code=None)


def answer(url: str, reference: dict[str, object]) -> str:
    status, found = post(f"{url}/chat/completions", question("chat", reference))
    assert status == 200, found
    return text_of(found)


def test_the_plan_says_what_will_be_done_and_apply_does_it(deployer: Deployer) -> None:
    planned = deployer("plan", "--detailed-exitcode", exit_code=2)
    assert "chat/0" in planned.stdout
    deployer("apply", "--yes")
    assert deployer("plan", "--detailed-exitcode", exit_code=0).stdout.rstrip().endswith("as wanted.")


def test_the_endpoint_answers_as_the_reference_does(deployer: Deployer) -> None:
    url = deployer.json("endpoint", "chat")["url"]
    assert url.endswith("/chat/v1")
    for reference in REFERENCES[:6]:
        assert answer(url, reference) == reference["text"]


def test_what_a_client_may_not_reach_is_not_there(deployer: Deployer) -> None:
    url = deployer.json("endpoint", "chat")["url"]
    status, found = post(url.replace("/chat/v1", "/chat/metrics"), {})
    assert status == 404
    assert found["error"]["code"]
    status, _ = post(url.replace("/chat/v1", "/nobody/v1/completions"), {})
    assert status == 404


def test_status_says_deployed_and_history_says_who(deployer: Deployer) -> None:
    found = deployer.json("status")
    (chat,) = found["deployments"]
    assert (chat["name"], chat["state"], chat["revision"]) == ("chat", "deployed", 1)
    history = deployer.json("history", "chat")
    assert "who" in json.dumps(history)


def test_two_plans_of_the_same_world_have_the_same_id(deployer: Deployer) -> None:
    write_deployment(deployer.root, "chat", CHAT.replace("512", "768"))
    first, second = deployer.json("plan"), deployer.json("plan")
    assert first["plan_id"] == second["plan_id"]
    (change,) = [c for c in first["changes"] if c["resource"] == "replica:chat/0"]
    assert [c["resource"] for c in first["changes"]] == ["replica:chat/0", "endpoint:chat"]
    assert change["actions"] == ["create", "delete"]  # there is room for both
    assert [d["name"] for d in change["deltas"]] == ["max_model_len"]
    assert (change["source"]["file"], change["source"]["line"]) == ("deployments/chat.yaml", 7)
    write_deployment(deployer.root, "chat", CHAT)


def test_a_new_description_restarts_nothing(deployer: Deployer) -> None:
    unit = unit_of(deployer, "chat")
    before = deployer.lab.run("lab-1", ["systemctl", "show", "-P", "InvocationID", unit]).stdout
    write_deployment(deployer.root, "chat", CHAT.replace("Team chat", "Chat for all") + "tags: [prod]\n")
    assert [c["resource"] for c in deployer.json("plan")["changes"]] == ["deployment:chat"]
    deployer("apply", "--yes")
    assert deployer.lab.run("lab-1", ["systemctl", "show", "-P", "InvocationID", unit]).stdout == before
    assert deployer.json("status")["deployments"][0]["tags"] == ["prod"]


def unit_of(deployer: Deployer, name: str) -> str:
    (found,) = [d for d in deployer.json("status")["deployments"] if d["name"] == name]
    return str(found["replicas"][0]["units"][0]["unit"])


def test_an_edit_on_the_host_is_drift_and_is_put_back(deployer: Deployer) -> None:
    unit = unit_of(deployer, "chat")
    folder = f"/etc/systemd/system/{unit}.d"
    script = f"mkdir -p {folder} && printf '[Service]\\nNice=5\\n' > {folder}/override.conf && systemctl daemon-reload"
    deployer.lab.run("lab-1", ["sh", "-c", script])
    planned = deployer("plan", "--detailed-exitcode", exit_code=2)
    assert "Drift" in planned.stdout
    assert "override.conf" in planned.stdout
    deployer("apply", "--yes")
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert deployer.lab.run("lab-1", ["test", "-e", f"{folder}/override.conf"], check=False).returncode != 0


def test_stopped_by_hand_it_answers_503_until_it_is_started(deployer: Deployer) -> None:
    url = deployer.json("endpoint", "chat")["url"]
    deployer("stop", "chat", "--yes")
    status, found = post(f"{url}/completions", {"model": "chat", "prompt": "Hi"})
    assert status == 503
    assert "stopped" in found["error"]["message"]
    deployer("apply", "--yes")  # from CI, say: the hold is respected
    assert deployer.json("status")["deployments"][0]["state"] == "stopped"
    deployer("start", "chat", "--yes")
    assert answer(url, REFERENCES[2]) == REFERENCES[2]["text"]


def test_a_model_that_cannot_be_loaded_gives_the_old_one_back(deployer: Deployer) -> None:
    url = deployer.json("endpoint", "chat")["url"]
    converted = '"$(dirname "$(find /var/lib/deployer/models -path "*tiny-chat*" -name model.bin | head -n 1)")"'
    script = f"mkdir -p /srv/broken && cp {converted}/* /srv/broken && truncate -s 1000 /srv/broken/model.bin"
    deployer.lab.run("lab-1", ["sh", "-c", script])
    write_deployment(deployer.root, "chat", CHAT.replace("{path: models/tiny-chat}", "{host_path: /srv/broken}"))
    deployer("lock")
    done = deployer("apply", "--yes", exit_code=5)
    said = done.stdout + done.stderr
    assert "cause   model.bin is missing or cut off" in said  # what, why, what now, and where to read on
    assert "what stood before is back" in said
    assert "deployer logs chat --failure" in said
    assert answer(url, REFERENCES[2]) == REFERENCES[2]["text"]
    (chat,) = deployer.json("status")["deployments"]
    assert chat["state"] == "deployed"
    assert chat["failure"]["cause"] == "model.bin is missing or cut off"
    assert "the last apply failed" in deployer("status").stdout
    assert "invalid payload size" in deployer("logs", "chat", "--failure").stdout
    write_deployment(deployer.root, "chat", CHAT)
    deployer("lock")
    deployer("apply", "--yes")


def test_a_saved_plan_of_a_world_that_moved_is_refused(deployer: Deployer) -> None:
    write_deployment(deployer.root, "chat", CHAT.replace("512", "640"))
    deployer("plan", "--out", str(deployer.root / "saved.json"))
    assert (deployer.root / "saved.json").stat().st_mode & 0o777 == 0o600
    deployer.lab.run("lab-1", ["systemctl", "stop", unit_of(deployer, "chat")])
    deployer("apply", str(deployer.root / "saved.json"), "--yes", exit_code=8)
    deployer("apply", "--yes")
    (chat,) = deployer.json("status")["deployments"]
    assert chat["state"] == "deployed"


def test_keys_are_wanted_once_they_are_written_down(deployer: Deployer) -> None:
    import hashlib

    keyed = CHAT.replace(
        "endpoint: {open: true}", f"endpoint:\n  keys: [{{name: team, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}]"
    )
    write_deployment(deployer.root, "chat", keyed)
    deployer("apply", "--yes")
    url = deployer.json("endpoint", "chat")["url"]
    body = {"model": "chat", "prompt": "Hello", "max_tokens": 2}
    assert post(f"{url}/completions", body)[0] == 401
    assert post(f"{url}/completions", body, "sk-wrong")[0] == 401
    assert post(f"{url}/completions", body, KEY)[0] == 200


def test_destroy_leaves_only_what_another_deployment_shares(deployer: Deployer) -> None:
    url = deployer.json("endpoint", "chat")["url"]
    body = {"model": "chat", "prompt": "Hello", "max_tokens": 2}
    write_deployment(deployer.root, "second", CHAT)
    deployer("apply", "second", "--yes")
    assert post(url.replace("/chat/", "/second/") + "/completions", {**body, "model": "second"})[0] == 200
    (deployer.root / "deployments" / "second.yaml").unlink()
    deployer("destroy", "second", "--yes")
    places = ["/etc/deployer", "/etc/systemd/system", "/var/lib/deployer", "/var/cache/deployer", "/run/deployer"]
    assert deployer.lab.run("lab-1", ["find", *places, "-name", "*second*"], check=False).stdout == ""
    assert post(url.replace("/chat/", "/second/") + "/completions", body)[0] == 404
    assert post(f"{url}/completions", body, KEY)[0] == 200
    deployer("plan", "--detailed-exitcode", exit_code=0)


def test_what_is_in_no_file_stays_until_it_is_pruned_and_then_nothing_is_left(deployer: Deployer) -> None:
    (deployer.root / "deployments" / "chat.yaml").unlink()
    planned = deployer("plan", "--detailed-exitcode", exit_code=0)
    assert "chat is on lab-1 but in no file" in planned.stdout
    deployer("prune", "--yes")
    left = ["/etc/deployer", "/opt/deployer/engines", "/var/lib/deployer"]

    def found() -> str:
        return deployer.lab.run("lab-1", ["find", *left, "-type", "f"], check=False).stdout

    # the run takes its own traces away once its report was read
    until(lambda: found() == "", "nothing of ours on the host any more", 30)
    units = deployer.lab.run("lab-1", ["sh", "-c", "ls /etc/systemd/system | grep deployer || true"]).stdout
    assert units == ""
