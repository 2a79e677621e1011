"""The real huggingface_hub against the local hub."""

import hashlib
import traceback

import pytest

from deployer.errors import LockfileError
from deployer.lock import hub as lock_hub
from deployer.lock.hub import lock_hub_model
from deployer.state.needs import ModelNeed
from tests.hub import LocalHub
from tests.lock.examples import CONFIG, REPOSITORY, Token

NEED = ModelNeed(repo="org/tiny")
POISON = "hf_poison4711"


def refusal(need: ModelNeed = NEED, token: str | None = None) -> LockfileError:
    with pytest.raises(LockfileError) as raised:
        lock_hub_model(need, None if token is None else Token(token))
    return raised.value


def test_a_branch_is_pinned_to_its_commit_with_files_and_facts(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    model = lock_hub_model(NEED)
    assert (model.key, model.name, model.revision, model.commit) == (
        "hub:org/tiny@main",
        "org/tiny",
        "main",
        hub.commit("org/tiny"),
    )
    assert [f.path for f in model.files] == ["README.md", "config.json", "model.safetensors", "tokenizer_config.json"]
    assert (model.facts.layers, model.facts.license, model.facts.chat_template, model.facts.gated) == (2, "llama3.1", True, False)
    assert model.facts.weights_bytes == 100_000


def test_big_files_are_known_by_sha256_and_small_ones_by_their_git_blob(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    digests = {f.path: f.digest for f in lock_hub_model(NEED).files}
    assert digests["model.safetensors"] == "sha256:" + hashlib.sha256(b"w" * 100_000).hexdigest()
    blob = b"blob %d\0" % len(CONFIG) + CONFIG.encode()
    assert digests["config.json"] == "git-sha1:" + hashlib.sha1(blob).hexdigest()


def test_a_full_commit_and_a_tag_are_revisions_too(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    hub.add("org/tiny", {"config.json": CONFIG}, "v1.0")
    commit = hub.commit("org/tiny")
    assert lock_hub_model(ModelNeed(repo="org/tiny", revision=commit)).commit == commit
    assert lock_hub_model(ModelNeed(repo="org/tiny", revision="v1.0")).commit == hub.commit("org/tiny", "v1.0")


def test_a_repository_without_config_has_files_and_no_facts(hub: LocalHub) -> None:
    hub.add("org/gguf", {"model.gguf": b"x"})
    model = lock_hub_model(ModelNeed(repo="org/gguf"))
    assert [f.path for f in model.files] == ["model.gguf"]
    assert model.facts.architectures == ()


def test_a_licence_called_other_gives_its_name(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY | {"README.md": "---\nlicense: other\nlicense_name: acme-1\n---\n"})
    assert lock_hub_model(NEED).facts.license == "acme-1"


def test_a_wrong_revision_is_answered_with_the_nearest_one(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    hub.add("org/tiny", {"config.json": CONFIG}, "release-2")
    error = refusal(ModelNeed(repo="org/tiny", revision="relase-2"))
    assert "no revision 'relase-2'" in error.what
    assert error.hint == "did you mean 'release-2'?"
    assert refusal(ModelNeed(repo="org/tiny", revision="zzz")).hint == "it has main, release-2"


def test_a_missing_repository_is_named(hub: LocalHub) -> None:
    error = refusal(ModelNeed(repo="org/none"))
    assert (error.where, error.exit_code) == ("org/none", 3)
    assert error.what == "org/none does not exist, or it is private and no token was given"


def test_a_private_repository_asks_for_a_token_then_for_a_better_one(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    hub.options.private = {"org/tiny"}
    assert "model.token" in (refusal().hint or "")
    assert "the token cannot see it" in refusal(token="hf_other").what
    assert lock_hub_model(NEED, Token("hf_test")).commit == hub.commit("org/tiny")


def test_a_gated_repository_tells_no_token_from_no_access(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    hub.options.gated = {"org/tiny"}
    assert refusal().what == "org/tiny is gated, and no token was given"
    assert refusal(token="hf_other").what == "org/tiny is gated, and the token has no access to it"
    assert lock_hub_model(NEED, Token("hf_test")).facts.gated


def test_a_gated_repository_without_config_is_checked_all_the_same(hub: LocalHub) -> None:
    hub.add("org/gguf", {"model.gguf": b"x"})
    hub.options.gated, hub.options.gated_lists = {"org/gguf"}, True
    assert "is gated" in refusal(ModelNeed(repo="org/gguf")).what


def test_the_token_of_the_environment_is_used_when_the_yaml_names_none(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/tiny", REPOSITORY)
    hub.options.private = {"org/tiny"}
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert lock_hub_model(NEED).commit == hub.commit("org/tiny")


def test_a_wrong_token_is_said_to_be_wrong(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    assert "does not accept the token" in refusal(token=POISON).what


@pytest.mark.parametrize("token", [POISON, f"{POISON}\n", f"{POISON}ü"])
@pytest.mark.parametrize("state", ["refused", "gated", "status 500", "status 403", "silent", "nowhere"])
def test_the_token_is_in_no_message_and_no_traceback(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, state: str, token: str
) -> None:
    hub.add("org/tiny", REPOSITORY)
    if state == "gated":
        hub.options.gated, hub.options.other_token = {"org/tiny"}, POISON
    if state.startswith("status"):
        hub.options.status = int(state.split()[1])
    if state == "silent":
        monkeypatch.setattr(lock_hub, "_TIMEOUT_S", 0.05)
        hub.options.silent = True
    if state == "nowhere":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = refusal(token=token)
    told = "".join(traceback.format_exception(error))
    assert POISON not in f"{error.what} {error.where} {error.hint} {told}"


@pytest.mark.parametrize(
    ("status", "says"), [(500, "answered 500"), (503, "answered 503"), (429, "too many requests"), (403, "without a token")]
)
def test_a_hub_in_trouble_is_quoted_with_its_status(hub: LocalHub, status: int, says: str) -> None:
    hub.options.status = status
    assert says in refusal().what


def test_a_hub_that_never_answers_ends_in_a_message(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_hub, "_TIMEOUT_S", 0.2)
    hub.options.silent = True
    assert "did not answer in time" in refusal().what


def test_a_hub_that_is_not_there_is_named_without_the_credentials_in_its_address(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://user:sesame@127.0.0.1:9")
    error = refusal()
    assert "cannot reach the hub at http://127.0.0.1:9" in error.what
    assert "sesame" not in f"{error.what} {error.hint}"


def test_offline_mode_is_said_to_be_the_reason(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refusal().what


def test_a_name_that_is_no_repository_is_refused(hub: LocalHub) -> None:
    assert "is not the name of a repository" in refusal(ModelNeed(repo="../etc/passwd")).what


def test_a_cut_connection_and_wrong_bytes_are_told_apart(hub: LocalHub) -> None:
    hub.add("org/tiny", REPOSITORY)
    hub.options.corrupt = {"org/tiny:config.json"}
    assert "digest differs" in refusal().what
    hub.options.corrupt, hub.options.cut, hub.options.cut_times = set(), 50, 9
    assert "broke" in refusal().what


def test_a_broken_config_names_repository_and_file(hub: LocalHub) -> None:
    hub.add("org/tiny", {"config.json": "{"})
    assert refusal().where == "org/tiny/config.json"


def test_an_answer_that_makes_no_sense_is_one_message(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def nonsense(*_: object, **__: object) -> None:
        raise KeyError("sha")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", nonsense)
    assert "cannot be understood" in refusal().what
