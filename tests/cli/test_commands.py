"""What every command does with good and with bad words."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.app.fleet import Fleet
from deployer.cli.main import main
from deployer.cli.table import COMMANDS
from deployer.errors import UsageError
from tests.cli.conftest import Shell, relock


def test_help_starts_with_three_examples_and_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(line.startswith("deployer ") for line in out.splitlines()[:3])
    assert all(f"\n  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_examples_of_its_own_in_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "deployer" in first
    assert name in first


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from deployer.cli.main import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.replace("'", '"')))
    assert not loaded & {"yaml", "pydantic", "rich", "fabric", "paramiko", "huggingface_hub", "subprocess", "deployer.app.fleet"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["plna"], "did you mean deployer plan?"),
        (["plan", "--fromat", "json"], "did you mean --format?"),
        (["--nope"], "deployer --help"),
    ],
)
def test_wrong_words_end_with_64_and_the_nearest_right_ones(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 64
    assert hint in capsys.readouterr().err


def test_the_fleet_may_be_named_before_or_behind_the_command(run: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(run.root), "validate"]) == 0
    assert "fleet acme" in capsys.readouterr().out
    assert run("validate").code == 0
    assert main(["-C", str(run.root), "hosts", "list"]) == 0
    assert main(["hosts", "list", "-C", str(run.root)]) == 0
    assert capsys.readouterr().out.count("192.0.2.1") == 2


def test_a_folder_that_is_not_there_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-C", "/nowhere"]) == 64
    assert "/nowhere" in capsys.readouterr().err


def test_validate_says_every_problem_with_its_place(run: Shell) -> None:
    (run.root / "deployments/chat.yaml").write_text("name: chat\nmodell: {path: models/tiny}\nengine: {ctranslate2: {}}\n")
    (run.root / "hosts/h1.yaml").write_text("name: h1\naddress: 192.0.2.1\nport: ssh\n")
    done = run("validate", "--json")
    assert done.code == 3
    problems = json.loads(done.out)["problems"]
    assert {p["file"] for p in problems} == {"deployments/chat.yaml", "hosts/h1.yaml"}
    assert all(set(p) == {"file", "line", "column", "message", "hint"} for p in problems)
    assert run("validate").out.splitlines()[-1].endswith("in 2 files")


def test_lock_check_says_whether_the_lock_is_behind_and_writes_nothing(run: Shell) -> None:
    assert run("lock", "--check").code == 0
    before = (run.root / "deployer.lock").read_text()
    (run.root / "models/tiny/config.json").write_text('{"architectures": ["X"], "vocab_size": 9}')
    done = run("lock", "--check")
    assert done.code == 3
    assert "deployments/chat.yaml:2" in done.err
    assert (run.root / "deployer.lock").read_text() == before
    (run.root / "deployer.lock").unlink()
    assert run("lock", "--check").code == 3


def test_validate_says_what_only_an_engine_knows(run: Shell) -> None:
    path = run.root / "deployments/chat.yaml"
    path.write_text(path.read_text().replace("ctranslate2: {}", "vllm: {args: {enable_prefix_cachin: true}}"))
    done = run("validate", "--json")
    assert done.code == 3
    assert json.loads(done.out)["problems"][0]["line"] == 4


def test_an_architecture_that_the_engine_does_not_know_is_named_before_any_plan(run: Shell) -> None:
    (run.root / "models/tiny/config.json").write_text('{"architectures": ["MPNetModel"], "vocab_size": 8}')
    relock(run.root)
    for words in (("validate",), ("lock",)):
        done = run(*words)
        assert done.code == 3
        assert "deployments/chat.yaml:2:8: CTranslate2 4.8.5 has no converter for MPNetModel" in done.out + done.err
        assert "engine: {vllm: {}} serves more architectures" in done.out + done.err


def test_status_says_what_was_never_applied(run: Shell) -> None:
    done = run("status", "--json")
    assert done.code == 0
    (chat,) = json.loads(done.out)["deployments"]
    assert (chat["name"], chat["state"], chat["tags"]) == ("chat", "pending", ["prod"])
    assert "chat" in run("status").out


def test_endpoint_says_where_and_how_to_ask(run: Shell) -> None:
    (run.root / "deployer.yaml").write_text('id: "0123abcd"\nname: acme\ngateway: {insecure: true, hosts: [h1]}\n')
    found = json.loads(run("endpoint", "chat", "--json").out)
    assert found["url"] == "http://192.0.2.1:8443/chat/v1"
    assert set(found) == {"name", "url", "model", "curl", "python"}
    assert found["url"] in run("endpoint", "chat").out


def test_a_key_is_shown_once_and_only_its_digest_is_written(run: Shell) -> None:
    path = run.root / "deployments/chat.yaml"
    path.write_text(path.read_text().replace("{open: true}", "{timeout: 60s}  # one minute"))
    done = run("keys", "create", "chat", "team-a")
    assert done.code == 0, done.err
    key = done.out.strip()
    text = (run.root / "deployments/chat.yaml").read_text()
    assert key not in text
    assert "team-a" in text
    assert [k["name"] for k in json.loads(run("keys", "list", "--json").out)["keys"]] == ["team-a"]
    assert run("keys", "create", "chat", "team-a").code == 64
    assert run("keys", "create", "chat", "--name", "team-b").code == 0
    assert run("keys", "create", "chat").code == 64
    assert run("keys", "revoke", "chat", "team-a").code == 0
    assert "team-a" not in (run.root / "deployments/chat.yaml").read_text()


def test_hosts_probe_never_shows_the_hosts_secret_key(run: Shell) -> None:
    done = run("hosts", "probe", "--json")
    assert "ab" * 32 not in done.out
    assert json.loads(done.out)["hosts"][0]["machine_id"] == "machine-h1"


def test_init_makes_a_fleet_that_is_valid_and_never_overwrites_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "My Fleet")]) == 0
    assert main(["validate", "-C", str(tmp_path / "My Fleet")]) == 0
    assert "fleet my-fleet" in capsys.readouterr().out
    assert main(["init", str(tmp_path / "My Fleet")]) == 1


def test_a_fault_of_ours_is_one_line_and_a_private_file(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("poison-55")

    monkeypatch.setattr("deployer.app.secretvalues.mask", lambda text: text.replace("poison-55", "•••"))
    monkeypatch.setattr("deployer.app.fleet.Fleet.probe", broken)
    done = run("status")
    assert done.code == 1
    assert "Traceback" not in done.err
    log = Path(done.err.split("details are in ")[1].split(";")[0])
    text = log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    log.unlink()
    assert "ZeroDivisionError" in text
    assert "poison-55" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", shell]) == 0
    assert "validate" in capsys.readouterr().out


def test_no_answer_for_a_program_is_ever_mixed_with_narration(run: Shell) -> None:
    for words in (
        ["plan"],
        ["status"],
        ["validate"],
        ["hosts", "list"],
        ["hosts", "probe"],
        ["keys", "list"],
        ["history", "chat"],
        ["version"],
    ):
        json.loads(run(*words, "--json").out)


def test_an_encoder_is_asked_for_embeddings_and_does_not_chat(run: Shell) -> None:
    (run.root / "models/tiny/config.json").write_text('{"architectures": ["BertModel"], "vocab_size": 8}')
    for path, old, new in (
        (run.root / "deployments/chat.yaml", "ctranslate2: {}", "ctranslate2: {pooling: mean}"),
        (run.root / "deployer.yaml", "insecure: true", "insecure: true, hosts: [h1]"),
    ):
        path.write_text(path.read_text().replace(old, new))
    relock(run.root)
    found = json.loads(run("endpoint", "chat", "--json").out)
    assert "/chat/v1/embeddings" in found["curl"]
    assert "client.embeddings.create" in found["python"]
    with Fleet.load(run.root) as fleet, pytest.raises(UsageError, match="chat does not chat: it answers embeddings"):
        fleet.deployment("chat").predict("Hello")
