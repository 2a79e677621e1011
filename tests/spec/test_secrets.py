"""A secret comes from where the reference says, and leaves only by `reveal()`."""

import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import Refused
from deployer.spec.models import SecretRef
from deployer.spec.secrets import BIGGEST, Secret, needed, resolve

POISON = "hf_POISON"


@pytest.mark.parametrize(
    "show", [str, repr, "{}".format, "{:>20}".format, "{!r}".format, "%s".__mod__, lambda s: f"{[s]}", lambda s: str({"a": s})]
)
def test_no_way_of_printing_shows_it(show):
    assert "POISON" not in show(Secret(POISON))


@pytest.mark.parametrize("store", [json.dumps, pickle.dumps, lambda s: json.dumps({"a": s}), bytes, vars])
def test_no_way_of_storing_takes_it(store):
    with pytest.raises(TypeError) as caught:
        store(Secret(POISON))
    assert POISON not in "".join(traceback.format_exception(caught.value))


def test_it_is_equal_to_itself_copied_and_to_nothing_else():
    secret = Secret(POISON)
    assert secret == Secret(POISON)
    assert secret == copy.deepcopy({"a": secret})["a"]
    assert secret != Secret("other")
    assert secret != POISON
    with pytest.raises(TypeError):
        hash(secret)


@given(st.text(min_size=1), st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=8))
def test_the_fingerprint_tells_a_change_and_needs_the_key(value, key, other):
    value = value.encode(errors="replace").decode()
    assert Secret(value).fingerprint(key) == Secret(value).fingerprint(key)
    assert Secret(value).fingerprint(key) != Secret(value + "x").fingerprint(key)
    if key.rstrip(b"\0") != other.rstrip(b"\0"):  # a short key is filled up with zeros
        assert Secret(value).fingerprint(key) != Secret(value).fingerprint(other)


def test_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("A_TOKEN", POISON)
    assert resolve(SecretRef(env="A_TOKEN"), tmp_path).reveal() == POISON
    monkeypatch.setenv("A_TOKEN", "")
    assert resolve(SecretRef(env="A_TOKEN"), tmp_path) is None
    monkeypatch.delenv("A_TOKEN")
    assert resolve(SecretRef(env="A_TOKEN"), tmp_path) is None


def test_from_a_file_of_the_fleet_or_of_the_machine(monkeypatch, tmp_path):
    (tmp_path / "token").write_text(f"{POISON}\r\n")
    assert resolve(SecretRef(file="token"), tmp_path).reveal() == POISON
    assert resolve(SecretRef(file=str(tmp_path / "token")), tmp_path / "else").reveal() == POISON
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(SecretRef(file="~/token"), tmp_path / "else").reveal() == POISON
    assert resolve(SecretRef(file="none"), tmp_path) is None


def test_from_a_command_that_no_shell_reads(tmp_path):
    assert resolve(SecretRef(command=("printf", "%s\n", f"$HOME; `id` {POISON}")), tmp_path).reveal() == f"$HOME; `id` {POISON}"
    assert resolve(SecretRef(command=("pwd",)), tmp_path).reveal() == str(tmp_path)
    assert resolve(SecretRef(command=("true",)), tmp_path) is None


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("sh", "-c", "echo hf_POISON; echo hf_POISON >&2; exit 3"), "failed with exit code 3"),
        (("no-such-command-here", "x"), "is not there"),
        (("printf", "hf_POISON\\377"), "is not text in UTF-8"),
        (("printf", "hf_POISON\\0x"), "holds a NUL"),
        (("a\0b",), "cannot be run"),
        (("head", "-c", str(BIGGEST + 1), "/dev/zero"), "larger than 64 KiB"),
    ],
)
def test_a_command_that_goes_wrong_says_so_without_its_output(tmp_path, capfd, command, says):
    with pytest.raises(Refused) as caught:
        resolve(SecretRef(command=command), tmp_path)
    assert says in caught.value.what
    shown = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert "hf_POISON" not in shown.replace(f"command:{' '.join(command)}", "")


def test_a_command_that_does_not_end_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr("deployer.spec.secrets.COMMAND_DEADLINE_S", 0.05)
    with pytest.raises(Refused, match="did not end within"):
        resolve(SecretRef(command=("sleep", "600")), tmp_path)


def test_one_that_is_needed_and_absent_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("A_TOKEN", raising=False)
    with pytest.raises(Refused) as caught:
        needed(SecretRef(env="A_TOKEN"), tmp_path, where="deployments/chat.yaml:7")
    assert (caught.value.exit_code, caught.value.hint, caught.value.where) == (4, "export A_TOKEN=…", "deployments/chat.yaml:7")
    with pytest.raises(Refused, match="file:none"):
        needed(SecretRef(file="none"), tmp_path)
    (tmp_path / "t").write_text("x")
    assert needed(SecretRef(file="t"), tmp_path).reveal() == "x"


def test_a_folder_in_place_of_a_file_is_said(tmp_path):
    with pytest.raises(Refused, match="cannot be read"):
        resolve(SecretRef(file="."), tmp_path)
