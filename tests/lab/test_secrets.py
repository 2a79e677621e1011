"""A token, an API key and a sudo password that must be nowhere, on the way of a gated model from a hub to its endpoint.

The host downloads the model itself, from a hub on this machine that is slow and breaks the connection once.
"""

import hashlib
import json
import random
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deployer.lab.places import lab_key, read_record
from tests.hub import LocalHub
from tests.lab import poison
from tests.lab.commands import REFERENCES, ROOT, Deployer, post, question, until, write_deployment, write_settings
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST = "lab-1"
MIB = 1 << 20
#: huggingface_hub writes, and so resumes, in pieces of 10 MiB: a file of more, cut after the first piece.
PADDING, CUT, SLOW = 13 * MIB, 11 * MIB, 2 * MIB
CARD = "---\nlicense: tiny-licence\n---\n# tiny\n"

MODEL = """\
model:
  repo: org/{repo}
{accept}  token: {{env: HF_TOKEN}}
engine:
  ctranslate2: {{quantization: float32, max_model_len: 512}}
placement: {{hosts: [lab-1]}}
"""
KEYED = "endpoint:\n  keys: [{name: team, secret: {env: TEAM_KEY}}]\n"


@dataclass
class Scene:
    """Every command's output is kept in `said`. `words` are the three secrets."""

    deployer: Deployer
    hub: LocalHub
    token: str
    key: str
    password: str
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.deployer.root

    @property
    def words(self) -> list[str]:
        return [self.token, self.key, self.password]

    def run(self, *words: str, exit_code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        deployer = replace(self.deployer, env=(*self.deployer.env, *env.items()))
        done = deployer(*words, exit_code=None)
        self.said += [done.stdout, done.stderr]
        assert exit_code is None or done.returncode == exit_code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def deploy(self, name: str, repo: str, accept: str = "  accept_license: tiny-licence\n", more: str = KEYED) -> None:
        write_deployment(self.root, name, MODEL.format(repo=repo, accept=accept) + more)

    def on_host(self, *argv: str) -> str:
        return self.deployer.lab.run(HOST, list(argv)).stdout


@pytest.fixture(scope="module")
def hub(lab_fleet: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """Two repositories that want a token, on this machine's end of the lab's network."""
    record = read_record(lab_key(lab_fleet.root))
    assert record is not None
    with LocalHub(tmp_path_factory.mktemp("hub"), host=f"10.87.{record.network}.1") as local:
        model = ROOT / "models" / "tiny-chat"
        files: dict[str, bytes | str] = {p.name: p.read_bytes() for p in model.iterdir() if p.name != "README.md"}
        for repo in ("tiny", "rotten"):
            local.add(f"org/{repo}", {**files, "README.md": CARD})
        local.add("org/tiny", {"padding.safetensors": random.Random(2).randbytes(PADDING)})
        local.options.gated = {"org/tiny", "org/rotten"}
        local.options.corrupt = {"org/rotten:model.safetensors"}
        yield local


@pytest.fixture(scope="module")
def scene(lab_fleet: LabFleet, hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    token, key, password = (f"poison-{kind}-{secrets.token_hex(8)}" for kind in ("hf", "sk", "sudo"))
    hub.options.token = token
    env = {"HF_TOKEN": token, "TEAM_KEY": key, "DEPLOYER_SUDO_PASSWORD": password, "HF_ENDPOINT": hub.url}
    env |= {"HF_HOME": str(tmp_path_factory.mktemp("hf-home")), "TMPDIR": str(tmp_path_factory.mktemp("tmp"))}
    made = Scene(Deployer(lab_fleet, tuple(env.items())), hub, token, key, password)
    host_file = lab_fleet.root / "hosts" / f"{HOST}.yaml"
    before = host_file.read_text()
    host_file.write_text(before.replace("user: deploy\n", f"user: admin\nhub_url: {hub.url}\n"))
    lab_fleet.run(HOST, ["chpasswd"], stdin=f"admin:{password}\n")
    write_settings(lab_fleet.root)
    yield made
    for file in (lab_fleet.root / "deployments").glob("*.yaml"):
        file.unlink()
    made.run("prune", "--yes", exit_code=None)
    host_file.write_text(before)
    lab_fleet.run(HOST, ["chpasswd"], stdin=f"admin:{lab_fleet.sudo_password}\n")


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


# before anything is downloaded


def test_a_gated_model_is_refused_until_its_licence_is_accepted_in_the_files(scene: Scene) -> None:
    scene.deploy("chat", "tiny", accept="")
    scene.run("lock")
    runs = scene.on_host("sh", "-c", "ls /var/lib/deployer/runs 2>/dev/null || true")
    done = scene.run("plan", exit_code=4)
    assert "chat: the model org/tiny asks for its licence to be accepted" in done.stdout
    assert "accept_license: tiny-licence" in done.stdout
    assert "deployments/chat.yaml:" in done.stdout
    scene.run("apply", "--yes", exit_code=4)
    scene.deploy("chat", "tiny", accept="  accept_license: another\n")
    scene.run("plan", exit_code=4)
    assert scene.on_host("sh", "-c", "ls /var/lib/deployer/runs 2>/dev/null || true") == runs


# the way of a model


def test_the_host_downloads_with_the_token_and_nobody_else_sees_it(scene: Scene, tmp_path: Path) -> None:
    scene.deploy("chat", "tiny")
    scene.run("lock", "--check")
    scene.run("plan", "--out", str(tmp_path / "p.json"))
    assert poison.in_folder(tmp_path, scene.words) == []
    scene.hub.options.slow_bps, scene.hub.options.cut = SLOW, CUT
    scene.hub.requests.clear()
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        argv = scene.deployer.argv(["apply", str(tmp_path / "p.json"), "--yes", "--json", "--why", "secrets"])
        running = subprocess.Popen(argv, stdout=out, stderr=err, env=scene.deployer.environment(), stdin=subprocess.DEVNULL)
        until(lambda: '"phase": "downloading"' in (tmp_path / "out").read_text() or running.poll() is not None, "a download")
        during = poison.on_host(scene.deployer.lab, HOST, scene.words, ("/etc", "/run", "/tmp", "/var/lib"))
        here = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
        still = scene.on_host("sh", "-c", "pgrep -af hub_download || true")
        code = running.wait(300)
    scene.hub.options.slow_bps = 0
    said, narrated = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    scene.said += [said, narrated]
    assert code == 0, said[-3000:] + narrated
    assert "hub_download.py" in still  # it was looked at in the middle
    assert during.looked["processes"] > 5
    assert during.looked["journal"] > 1000
    assert allowed(during.hits) == [], "seen while it downloaded"
    assert {hit["word"] for hit in during.hits} == {0, 1}, "token and key are in the run's credential, the password is nowhere"
    assert not any(word.encode() in here for word in scene.words)


#: Where a secret may be while a run needs it: the run's credential, a file for root alone that is gone with the run.
CREDENTIAL = "/run/credentials/deployer-run-"


def allowed(hits: list[dict[str, object]]) -> list[dict[str, object]]:
    """The hits that are not in a place that root alone reads and that ends with the run."""
    return [
        hit
        for hit in hits
        if not (str(hit["where"]).startswith(CREDENTIAL) and hit["mode"] in ("0o400", "0o600") and hit["owner"] == 0)
    ]


def test_a_broken_connection_was_taken_up_where_it_broke(scene: Scene) -> None:
    assert scene.hub.cuts == {"org/tiny:padding.safetensors": 1}
    ranges = [r.range for r in scene.hub.requests if r.range and "padding" in r.path]
    assert ranges == [f"bytes={10 * MIB}-"]


def test_the_progress_told_a_rate_and_the_time_that_was_left(scene: Scene) -> None:
    stream = next(text for text in scene.said if '"phase": "downloading"' in text)
    seen = [e["data"] for e in events(stream) if (e.get("data") or {}).get("phase") == "downloading"]
    total = sum(p.stat().st_size for p in (scene.hub.root / "org/tiny/main").iterdir())
    assert {one["total"] for one in seen} == {total}
    timed = [one for one in seen if one.get("rate")]
    assert timed
    assert all(one["unit"] == "bytes" and one["eta_s"] >= 0 and 0 < one["done"] <= total for one in timed)
    assert max(one["rate"] for one in timed) < 40 * MIB


def test_what_the_host_has_is_what_was_locked(scene: Scene) -> None:
    found = scene.on_host(
        "find", "/var/lib/deployer/models/org--tiny", "-name", "padding.safetensors", "-exec", "sha256sum", "{}", "+"
    )
    wanted = hashlib.sha256((scene.hub.root / "org/tiny/main/padding.safetensors").read_bytes()).hexdigest()
    assert found.split()[0] == wanted
    assert "complete" in scene.run("hosts", "probe", HOST, "--verify", "--json").stdout


def test_the_endpoint_answers_with_the_key_that_the_reference_names(scene: Scene) -> None:
    url = json.loads(scene.run("endpoint", "chat", "--json").stdout)["url"]
    reference = REFERENCES[2]
    body = question("chat", reference)
    assert post(f"{url}/chat/completions", body)[0] == 401
    assert post(f"{url}/chat/completions", body, "sk-wrong")[0] == 401
    status, found = post(f"{url}/chat/completions", body, scene.key)
    assert status == 200, found
    assert found["choices"][0]["message"]["content"] == reference["text"]


OWN = """\
name: tiny-ours
about: the smallest of ours
kind: chat
repo: org/tiny
license: tiny-licence
gated: true
engines: {ctranslate2: {quantization: float32}}
"""


def test_by_a_name_of_the_fleets_own_catalogue_it_is_the_same_model(scene: Scene) -> None:
    (scene.root / "catalog").mkdir(exist_ok=True)
    (scene.root / "catalog/ours.yaml").write_text(OWN)
    rows = {line.split()[1]: line for line in scene.run("models", "--fits", HOST, "--kind", "chat").stdout.splitlines()[1:]}
    assert rows["tiny-ours"].startswith("✓")
    assert "Lab GPU 24GiB" in rows["tiny-ours"]
    named = MODEL.replace("repo: org/{repo}", "catalog: tiny-ours").format(accept="  accept_license: tiny-licence\n")
    write_deployment(scene.root, "named", named + KEYED)
    scene.run("lock")
    planned = scene.run("plan", "named").stdout
    assert "named: model.repo is org/tiny, as tiny-ours of the catalogue says" in planned
    assert "download" not in planned, "it is there"
    scene.run("apply", "named", "--yes")
    url = json.loads(scene.run("endpoint", "named", "--json").stdout)["url"]
    status, found = post(f"{url}/chat/completions", question("named", REFERENCES[2]), scene.key)
    assert (status, found["choices"][0]["message"]["content"]) == (200, REFERENCES[2]["text"])


# what fails


def test_bytes_that_are_not_what_was_locked_are_refused_and_nothing_of_them_stays(scene: Scene) -> None:
    scene.deploy("spoilt", "rotten")
    scene.run("lock")
    done = scene.run("apply", "spoilt", "--yes", exit_code=5)
    assert "model.safetensors is not what was locked: its digest differs" in done.stdout
    assert scene.on_host("find", "/var/lib/deployer/models/", "-path", "*rotten*", "-name", "*.safetensors") == ""
    states = {d["name"]: d["state"] for d in json.loads(scene.run("status", "--json").stdout)["deployments"]}
    assert states["chat"] == "deployed"
    assert states["spoilt"] != "deployed"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_other", "cause   the repository is gated and the token has no access"),
        ("hf_unknown_to_the_hub", "cause   the hub does not accept the token"),
    ],
)
def test_a_token_that_does_not_open_the_model_is_said_to_be_the_cause(scene: Scene, token: str, said: str) -> None:
    done = scene.run("apply", "spoilt", "--yes", exit_code=5, HF_TOKEN=token)
    assert said in done.stdout
    assert token not in done.stdout + done.stderr


def test_a_token_that_is_not_at_hand_is_said_before_anything_is_begun(scene: Scene) -> None:
    done = scene.run("apply", "spoilt", "--yes", exit_code=4, HF_TOKEN="")
    assert "the secret env:HF_TOKEN is not at hand" in done.stderr


# after all of it


def test_no_command_said_one_and_no_file_of_the_fleet_holds_one(scene: Scene) -> None:
    for words in (
        ["validate"],
        ["plan", "--json"],
        ["plan", "--format", "markdown"],
        ["status"],
        ["status", "--json"],
        ["logs", "chat"],
        ["logs", "chat", "--json"],
        ["history", "chat"],
        ["history", "chat", "--json"],
        ["endpoint", "chat"],
        ["keys", "list", "--json"],
        ["hosts", "probe", HOST, "--json"],
        ["lock", "--json"],
    ):
        scene.run(*words, exit_code=None)
    assert len(scene.said) > 30
    for text in scene.said:
        assert [word for word in scene.words if word in text] == []
    assert (scene.root / ".deployer" / "plans").is_dir()
    assert poison.in_folder(scene.root, scene.words) == []
    assert all(poison.in_folder(Path(dict(scene.deployer.env)[name]), scene.words) == [] for name in ("HF_HOME", "TMPDIR"))


def test_nothing_on_the_host_holds_one(scene: Scene) -> None:
    found = poison.on_host(scene.deployer.lab, HOST, scene.words)
    assert found.hits == []
    assert found.looked["files"] > 1000
    assert found.looked["journal"] > 1000


def test_the_search_itself_finds_what_is_there(scene: Scene) -> None:
    word = f"planted-{secrets.token_hex(8)}"
    plant = ["systemd-run", "--quiet", "--collect", "--unit=planted", f"--setenv=PLANTED={word}", "--", "sleep", "300"]
    scene.deployer.lab.run(HOST, ["sh", "-c", "cat > /var/lib/planted; logger -t planted < /var/lib/planted"], stdin=word)
    scene.on_host(*plant)
    try:
        until(
            lambda: (
                {hit["where"] for hit in poison.on_host(scene.deployer.lab, HOST, [word], ("/var/lib",)).hits}
                >= {"/var/lib/planted", "the journal", "process environ"}
            ),
            "the planted word is found",
            30,
        )
    finally:
        scene.on_host("sh", "-c", "rm /var/lib/planted; systemctl stop planted")
