"""What the words of `lab` and `hosts trust` come to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployer.lab.lab import LabHost
from tests.cli.conftest import Shell

GIB = 1 << 30


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    one = LabHost("lab-1", "192.0.2.1", "deploy", "ssh-ed25519 AAAA", 8, True, False, Path("/"))

    def record(name: str, answer: Any) -> None:
        def fake(*args: Any, **more: Any) -> Any:
            more.pop("on_progress", None)
            calls.append((name, *args[1:], more))
            return answer

        monkeypatch.setattr(f"deployer.lab.lab.{name}", fake)

    for name, answer in {
        "up": [one],
        "list_hosts": [one],
        "down": True,
        "ssh": 7,
        "reboot": None,
        "cut": None,
        "heal": None,
    }.items():
        record(name, answer)
    return calls


def test_lab_up_passes_numbers_and_sizes(run: Shell, called: list[Any]) -> None:
    done = run("lab", "up", "2", "--gpus", "8", "--gpu-memory", "80GiB")
    assert done.code == 0
    assert called == [("up", 2, {"gpus": 8, "gpu_memory": 80 * GIB})]
    assert "off the network" in done.out


@pytest.mark.parametrize("size", ["80", "80GB", "GiB", "-1GiB", "1.2.3GiB"])
def test_a_size_that_is_none_is_a_wrong_command_line(run: Shell, called: list[Any], size: str) -> None:
    assert run("lab", "up", "1", f"--gpu-memory={size}").code == 64
    assert called == []


def test_the_words_behind_the_dashes_go_to_the_host_as_they_are(
    run: Shell, called: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from deployer.cli.main import main

    assert main(["lab", "ssh", "lab-1", "-C", str(run.root), "--", "echo", "-C", "two words", "$HOME", "--"]) == 7
    assert called == [("ssh", "lab-1", ["echo", "-C", "two words", "$HOME", "--"], {"user": "root"})]
    assert main(["lab", "ssh", "lab-1", "-C", str(run.root), "--", "echo a >> /etc/b"]) == 7
    assert called[1:] == [("ssh", "lab-1", ["sh", "-c", "echo a >> /etc/b"], {"user": "root"})], "as ssh takes it"


@pytest.mark.parametrize("verb", ["reboot", "cut", "heal"])
def test_one_host_of_the_lab(run: Shell, called: list[Any], verb: str) -> None:
    assert run("lab", verb, "lab-1").code == 0
    assert called[0][:2] == (verb, "lab-1")


def test_lab_wants_a_verb(run: Shell) -> None:
    assert run("lab").code == 64
    assert run("lab", "upp", "1").code == 64


@dataclass
class Key:
    type: str = "ssh-ed25519"
    base64: str = "AAAAC3NzaC1lZDI1NTE5AAAAIKYzUfVuD1p3Z6Zr3aq6Tn8M9fJkq9dDWEFGYuYkWbQ2"
    fingerprint: str = "SHA256:abc"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.transport.hostkeys.fetch_for", lambda *_: Key())


def test_a_key_is_pinned_once_a_person_says_so(run: Shell, shown: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run.root / "hosts/h1.yaml"
    path.write_text(path.read_text() + "# a comment\n")
    refused = run("hosts", "trust", "h1")
    assert refused.code == 64
    assert "host_key" not in path.read_text()
    done = run("hosts", "trust", "h1", "--yes")
    assert done.code == 0
    assert "SHA256:abc" in done.err
    assert f"host_key: {Key.type} {Key.base64}\n" in path.read_text()
    assert "# a comment" in path.read_text()


def test_without_a_name_all_keys_that_are_not_pinned_yet(run: Shell, shown: None) -> None:
    assert run("hosts", "trust", "--yes").code == 0
    texts = [path.read_text() for path in sorted((run.root / "hosts").glob("*.yaml"))]
    assert [text.count("host_key: ssh-ed25519") for text in texts] == [1, 1]
    assert "already" in run("hosts", "trust").err


def test_another_key_than_the_pinned_one_is_said_aloud(run: Shell, shown: None) -> None:
    path = run.root / "hosts/h1.yaml"
    path.write_text(path.read_text() + f"host_key: ssh-ed25519 {Key.base64[:-1]}3\nport: 22\n")
    done = run("hosts", "trust", "h1", "--yes")
    assert "ANOTHER KEY IS PINNED" in done.err
    assert path.read_text().count("host_key:") == 1
    assert "already" in run("hosts", "trust", "h1").err
