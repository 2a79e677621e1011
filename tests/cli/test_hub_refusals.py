"""`deployer lock` where the hub says no: each no in its own words, exit 3, and the lock as it was. A real hub on loopback."""

import pytest

from tests.cli.conftest import relock
from tests.cli.fakehosts import Bench, bench
from tests.hub import LocalHub
from tests.hub.fixture import hub

__all__ = ["bench", "hub"]

CONFIG = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8}'
CARD = "---\nlicense: llama3.1\n---\n"


@pytest.fixture
def asked(bench: Bench, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A fleet that wants org/tiny with the token of TINY_TOKEN; its packages are locked already."""
    hub.add("org/tiny", {"config.json": CONFIG, "model.safetensors": b"w" * 100, "tokenizer.json": "{}", "README.md": CARD})
    bench.edit("{path: models/tiny}", "{repo: org/tiny, revision: main, token: {env: TINY_TOKEN}}")
    relock(bench.root)
    monkeypatch.delenv("TINY_TOKEN", raising=False)
    return bench


def refused(bench: Bench) -> str:
    """What `lock` says; nothing is written, and `plan` goes on saying that the lock is behind."""
    before = (bench.root / "deployer.lock").read_text()
    done = bench("lock")
    assert (done.code, done.out) == (3, "")
    assert (bench.root / "deployer.lock").read_text() == before
    assert bench("plan").code == 3
    return done.err


def test_with_access_it_is_locked(asked: Bench, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.options.gated = {"org/tiny"}
    monkeypatch.setenv("TINY_TOKEN", "hf_test")
    done = asked("lock")
    assert done.code == 0, done.err
    assert hub.commit("org/tiny") in (asked.root / "deployer.lock").read_text()
    assert asked("plan").code == 4  # its licence is not accepted in the files
    asked.edit("revision: main,", "revision: main, accept_license: llama3.1,")
    assert asked("plan").code == 0


@pytest.mark.parametrize(
    ("situation", "token", "what", "next_"),
    [
        (
            "missing",
            None,
            "org/none does not exist, or it is private and no token was given",
            "for a private one set model.token",
        ),
        ("missing", "hf_test", "org/none does not exist, or it is private and the token cannot see it", "check the spelling at"),
        (
            "private",
            None,
            "org/tiny does not exist, or it is private and no token was given",
            "for a private one set model.token",
        ),
        ("private", "hf_other", "org/tiny does not exist, or it is private and the token cannot see it", "may read it"),
        ("gated", None, "org/tiny is gated, and no token was given", "ask for access at"),
        ("gated", "hf_other", "org/tiny is gated, and the token has no access to it", "ask for access at"),
        ("gated", "hf_wrong", "does not accept the token", "make a new one and put it behind model.token"),
        ("gated", "hf_te st", "the token holds a space", "check the value behind model.token"),
        ("revision", "hf_test", "org/tiny has no revision 'mian'", "did you mean 'main'?"),
        ("down", "hf_test", "answered 503 about org/tiny", "try again"),
    ],
)
def test_each_no_of_a_hub_has_its_own_words_and_its_place(
    asked: Bench, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, situation: str, token: str | None, what: str, next_: str
) -> None:
    if token is not None:
        monkeypatch.setenv("TINY_TOKEN", token)
    if situation == "missing":
        asked.edit("org/tiny", "org/none")
    if situation == "revision":
        asked.edit("revision: main", "revision: mian")
    hub.options.gated = {"org/tiny"} if situation == "gated" else set()
    hub.options.private = {"org/tiny"} if situation == "private" else set()
    hub.options.status = 503 if situation == "down" else 0
    said = refused(asked)
    assert what in said
    assert next_ in said
    assert "deployments/chat.yaml:2" in said
    assert token is None or token not in said
