"""A draft of a deployment: what was typed is refused with a message at its field, or reads back as exactly that."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.app import checking, form, written
from deployer.app.draft import Draft, model_folders
from deployer.errors import SpecError, UsageError

SMALL: Mapping[str, str] = {"name": "second", "model": "path", "model.path": "models/tiny", "engine": "ctranslate2"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet with a host and a deployment, which no test writes to."""
    return make(tmp_path_factory.mktemp("fleet"))


def make(root: Path) -> Path:
    for folder in ("hosts", "deployments", "models/tiny"):
        (root / folder).mkdir(parents=True)
    (root / "deployer.yaml").write_text('id: "0123abcd"\nname: acme\n')
    (root / "hosts/h1.yaml").write_text("name: h1\naddress: 192.0.2.1\n")
    (root / "deployments/zeta.yaml").write_text("name: chat\nmodel: {path: models/tiny}\nengine: {ctranslate2: {}}\n")
    (root / "models/tiny/config.json").write_text("{}")
    return root


def draft(**typed: str) -> Draft:
    return Draft({**SMALL, **{key.replace("__", "."): text for key, text in typed.items()}})


def at(draft: Draft, root: Path, key: str) -> str:
    return draft.check(root).by_key[key].message


def test_a_draft_that_says_enough_is_a_deployment(root: Path) -> None:
    checked = draft(engine__ctranslate2__quantization="int8", placement__gpus="1", sampling__stop='"</s>", "\\n"').check(root)
    assert checked.problems == ()
    assert checked.spec is not None
    assert (checked.spec.engine.settings.quantization, checked.gpus) == ("int8", 1)
    assert checked.spec.sampling.stop == ("</s>", "\n")
    assert checked.text.startswith("# yaml-language-server: $schema=../schemas/deployment.schema.json\n")
    assert "quantization: int8   # how weights are stored" in checked.text


def test_a_share_of_a_gpu_is_asked_with_the_hardware(root: Path) -> None:
    assert "placement.gpu_share" in {one.key for one in draft().asked("hardware")}
    checked = draft(placement__gpus="1", placement__gpu_share="30%").check(root)
    assert checked.spec is not None
    assert (checked.problems, checked.spec.placement.share) == ((), 30)
    assert "from 1% to 99%" in at(draft(placement__gpus="1", placement__gpu_share="30"), root, "placement.gpu_share")
    alone = draft(placement__gpu_share="30%")
    assert at(alone, root, "placement.gpu_share") == "gpu_share is a share of a GPU, and this replica gets none"


def test_an_empty_draft_says_what_is_missing_at_its_fields(root: Path) -> None:
    assert set(Draft().check(root).by_key) == {"name", "model.repo"}


def test_a_wrong_value_is_said_at_its_field_in_the_words_of_validate(root: Path) -> None:
    wrong = draft(replicas="many", sampling__temperature="101", engine__ctranslate2__max_queue="010")
    assert at(wrong, root, "replicas") == 'replicas must be a whole number from 1 to 10000, not "many"'
    assert at(wrong, root, "sampling.temperature") == "sampling.temperature must be a number from 0 to 100, not 101"
    assert at(wrong, root, "engine.ctranslate2.max_queue") == "010 is octal in YAML 1.1 and decimal in 1.2"


def test_what_only_the_engine_can_see_is_said_at_the_field_it_is_about(root: Path) -> None:
    wrong = draft(engine__ctranslate2__device="cuda", placement__gpus="0")
    assert at(wrong, root, "placement.gpus") == "device: cuda wants a GPU"
    bare = draft(engine__ctranslate2__device="cpu", engine__ctranslate2__compute_type="float16")
    assert "would take another type without a word" in at(bare, root, "engine.ctranslate2.compute_type")


def test_a_name_that_another_file_has_is_refused_and_so_is_a_file_that_is_there(root: Path) -> None:
    assert at(draft(name="chat"), root, "name") == "two deployments are named 'chat'"
    assert at(draft(name="zeta"), root, "name") == "deployments/zeta.yaml is there already, and says something else"


def test_a_secret_typed_where_a_reference_belongs_goes_no_further(root: Path) -> None:
    checked = draft(endpoint="keys", endpoint__keys__0__name="a", endpoint__keys__0__secret="hunter2").check(root)
    assert "must be a reference" in checked.by_key["endpoint.keys.0.secret"].message
    assert "hunter2" not in f"{checked.text}{checked.problems}"


def test_keys_are_written_by_reference(root: Path) -> None:
    typed = {"endpoint": "keys"}
    for number, reference in enumerate(("env:TEAM_A", "{file: keys/b}", '{command: [pass, "show c"]}')):
        typed |= {f"endpoint.keys.{number}.name": f"team-{number}", f"endpoint.keys.{number}.secret": reference}
    spec = Draft({**SMALL, **typed}).check(root).spec
    assert spec is not None
    found = [key.secret.id for key in spec.endpoint.keys if key.secret]
    assert found == ["env:TEAM_A", "file:keys/b", "command:pass show c"]
    assert spec.endpoint.keys[2].secret is not None
    assert spec.endpoint.keys[2].secret.command == ("pass", "show c")


def test_an_open_endpoint_and_one_on_loopback(root: Path) -> None:
    opened, closed = draft(endpoint="open").check(root), draft().check(root)
    assert opened.spec is not None
    assert closed.spec is not None
    assert (opened.spec.endpoint.open, closed.spec.endpoint.open) == (True, False)
    assert "# endpoint: nobody but the host itself" in closed.text


def test_writing_never_writes_over_a_file_and_never_writes_what_is_wrong(tmp_path: Path) -> None:
    root = make(tmp_path)
    with pytest.raises(SpecError):
        draft(replicas="0").write(root)
    assert not (root / "deployments/second.yaml").exists()
    put = draft().write(root)
    path = root / put.file
    assert path.read_text() == put.text
    assert set(checking.load(root).fleet.deployments) == {"chat", "second"}
    with pytest.raises(SpecError, match="1 problem"):
        draft(replicas="2").write(root)
    assert "replicas" not in path.read_text()


def test_what_it_wrote_itself_can_be_corrected_as_long_as_nobody_changed_it(tmp_path: Path) -> None:
    root = make(tmp_path)
    put = draft().write(root)
    assert draft(replicas="2").check(root, put).problems == ()
    put = draft(replicas="2").write(root, put)
    assert "replicas: 2" in (root / "deployments/second.yaml").read_text()
    moved = draft(name="third").write(root, put)
    assert sorted(path.name for path in (root / "deployments").iterdir()) == ["third.yaml", "zeta.yaml"]
    (root / moved.file).write_text(moved.text + "replicas: 9\n")
    with pytest.raises(SpecError):
        draft(name="third", replicas="2").write(root, moved)
    assert "replicas: 9" in (root / moved.file).read_text()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    root = make(tmp_path)
    (root / "deployments/zeta.yaml").unlink()
    (root / "deployments").rmdir()
    (root / "deployments").symlink_to(root / "nowhere")
    with pytest.raises(UsageError, match="deployments is there already"):
        draft().write(root)


def test_the_folders_that_hold_a_model(tmp_path: Path) -> None:
    assert model_folders(tmp_path) == ()
    root = make(tmp_path)
    for name in ("corpus/text.txt", "org/small/config.json"):
        (root / "models" / name).parent.mkdir(parents=True)
        (root / "models" / name).write_text("{}")
    assert model_folders(root) == ("models/org/small", "models/tiny")


def test_settings_of_an_engine_are_asked_as_its_model_says() -> None:
    by_key = {one.key: one for one in form.engine_fields("ctranslate2")}
    queue = by_key["engine.ctranslate2.max_queue"]
    assert (queue.kind, queue.default, queue.wanted) == ("integer", "256", "a whole number of at least 1")
    assert by_key["engine.ctranslate2.device"].choices == ("auto", "cpu", "cuda")
    assert "engine.ctranslate2.requirements" not in by_key


WAYS = (
    SMALL,
    {"name": "second", "engine": "vllm", "model.repo": "org/name", "endpoint": "keys", "endpoint.keys.0.name": "a",
     "endpoint.keys.0.secret": "env:A"},
)  # fmt: skip
FIELDS = [(way, one) for way in WAYS for one in Draft(way).fields() if one.kind != "fork"]
ODD = ["", " ", "no", "null", "~", "1", "01", "1e3", "0x1f", "1:30", "2026-11-20", "a: b", "a # b", "- a", "[/INST]", "{x}",
       "'", '"', "\\", "é", "\u2028", "\x00", "\x85", "a\tb", "a ", " a", "%", "@", "`", "*a", "&a", "!a", "|", ">", "a,b",
       '"a, b", c', "env:", "env:A B", "{env: A}", "{ file :a}",
       "file:../x", "command:", "true", "🦜", "\ufeff", "..", "---", "=", "<<", "?",
       "a:", ",", '"']  # fmt: skip


def value_of(loaded: Any, path: tuple[str | int, ...]) -> Any:
    found = loaded
    for part in path:
        engine = getattr(found, "settings", None)
        found = engine or (found[part] if isinstance(part, int) else getattr(found, part))
    return found


@settings(max_examples=150)
@given(field=st.sampled_from(FIELDS), text=st.one_of(st.sampled_from(ODD), st.text(max_size=12), st.integers().map(str)))
def test_any_text_in_any_field_is_refused_or_reads_back_as_it_was_typed(root: Path, field: Any, text: str) -> None:
    way, one = field
    checked = Draft({**way, one.key: text}).check(root)
    if checked.spec is None:
        assert checked.problems
        assert one.key in checked.by_key, (one.key, checked.problems)
        return
    if not text:
        return
    found = value_of(checked.spec, one.path)
    if one.kind == "list":
        assert list(found) == written.words(text)
    elif one.kind == "secret":
        bare = text.strip()
        kind, _, rest = (bare[1:-1] if bare.startswith("{") else bare).strip().partition(":")
        assert found.id == f"{kind}:{' '.join(rest.split()) if kind == 'command' else rest.strip()}"
    elif one.kind in ("integer", "number"):
        assert found == (Decimal(text) if one.kind == "integer" else float(text))  # a float rounds large ones
    elif one.kind == "flag":
        assert found is (text == "true")
    elif one.key in ("resources.memory", "endpoint.timeout"):
        assert found > 0  # read as a size or a duration
    else:
        assert found == text
