import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer.errors import LockfileError
from deployer.lock.file import read_lock, write_lock
from deployer.state.canonical import text_digest
from deployer.state.locked import (
    Locked,
    LockedEnvironment,
    LockedFile,
    LockedModel,
    LockedTarget,
    LockedTool,
    LockedWheel,
    ModelFacts,
    content_digest,
)

TARGET = "3.11/x86_64/glibc-2.36"
TEXT = f"a==1 --hash=sha256:{'a' * 64}\n"


def model(key: str, commit: str | None = None) -> LockedModel:
    files = (
        LockedFile("config.json", 12, "git-sha1:" + "1" * 40),
        LockedFile("sub/m x.safetensors", 10**12, "sha256:" + "2" * 64),
    )
    source, _, rest = key.partition(":")
    facts = ModelFacts(
        ("A",), "llama", "bfloat16", 8192, layers=2, license="mit", gated=True, chat_template=True, weights_bytes=5
    )
    name, revision = (rest.partition("@")[0], "main") if source == "hub" else (rest, None)
    return LockedModel(key, source, name, revision, commit, content_digest(files), files, facts)


def target(environment: str, name: str = TARGET, text: str = TEXT, wheels: tuple[LockedWheel, ...] = ()) -> LockedTarget:
    return LockedTarget(name, f"locks/{environment}.{name.replace('/', '-')}.txt", text_digest(text), 1, text, wheels)


def example() -> Locked:
    wheels = (LockedWheel("torch-2+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", 7, "3" * 64),)
    environment = LockedEnvironment("e-1", ("a", "b>=2"), ("c",), "0123456789abcdef", {TARGET: target("e-1", wheels=wheels)})
    models = [model("hub:org/name@main", "0" * 40), model("path:models/ü: x")]
    return Locked({m.key: m for m in models}, {"e-1": environment}, {"uv": LockedTool("uv", "1.0", "4" * 64, 9, "x86_64")})


def broken(root: Path) -> LockfileError:
    with pytest.raises(LockfileError) as raised:
        read_lock(root)
    assert raised.value.exit_code == 3
    return raised.value


def edited(root: Path, old: str, new: str) -> LockfileError:
    write_lock(root, example())
    file = root / "deployer.lock"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return broken(root)


def line_of(root: Path, part: str) -> int:
    return next(n for n, line in enumerate((root / "deployer.lock").read_text().splitlines(), 1) if part in line)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_lock(tmp_path, example())
    assert read_lock(tmp_path) == example()


def test_an_empty_lock_is_a_lock(tmp_path: Path) -> None:
    write_lock(tmp_path, Locked())
    assert read_lock(tmp_path) == Locked()
    assert not (tmp_path / "locks").exists()


def test_the_same_lock_gives_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()
    locked = example()
    write_lock(one, locked)
    write_lock(two, replace(locked, models=dict(reversed(locked.models.items()))))
    assert (one / "deployer.lock").read_bytes() == (two / "deployer.lock").read_bytes()


def test_the_file_is_readable_by_people_and_by_everyone(tmp_path: Path) -> None:
    write_lock(tmp_path, example())
    text = (tmp_path / "deployer.lock").read_text()
    assert text.startswith("# Made by `deployer lock`.")
    assert "    config.json: git-sha1:" in text
    assert "path:models/ü: x" in yaml.safe_load(text)["models"]
    for file in (tmp_path / "deployer.lock", tmp_path / target("e-1").file):
        assert file.stat().st_mode & 0o777 == 0o644


def test_writing_the_same_again_touches_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_lock(tmp_path, example())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    write_lock(tmp_path, example())
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_requirement_files_nobody_names_any_more_go_and_foreign_ones_stay(tmp_path: Path) -> None:
    write_lock(tmp_path, example())
    (tmp_path / "locks" / "notes.txt").write_text("mine")
    write_lock(tmp_path, replace(example(), environments={}))
    assert [p.name for p in (tmp_path / "locks").iterdir()] == ["notes.txt"]


def test_a_missing_lock_says_how_to_make_one(tmp_path: Path) -> None:
    error = broken(tmp_path)
    assert error.what == "there is no deployer.lock"
    assert "deployer lock" in (error.hint or "")


def test_what_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "deployer.lock").write_text("version: 1\nmodels:\n  a: [\n")
    error = broken(tmp_path)
    assert "is not YAML" in error.what
    assert error.where == "deployer.lock:4"


@pytest.mark.parametrize(
    "content", ["", "- 1\n", "just text\n", "version: one\n", "!!python/object:os.system {}\n", "? [a]\n: b\n"]
)
def test_other_documents_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "deployer.lock").write_text(content)
    assert "deployer.lock" in broken(tmp_path).what


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deployer.lock").write_bytes(b"\xff\x00")
    assert "cannot read" in broken(tmp_path).what


def test_a_merge_conflict_is_called_one(tmp_path: Path) -> None:
    error = edited(tmp_path, "models:", "<<<<<<< HEAD\nmodels:")
    assert "merge conflict" in error.what
    assert error.where == "deployer.lock:3"


def test_a_lock_of_a_newer_deployer_asks_for_an_upgrade(tmp_path: Path) -> None:
    error = edited(tmp_path, "version: 1", "version: 2")
    assert "version 2" in error.what
    assert (error.where, error.hint) == ("deployer.lock:2", "upgrade deployer")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("layers: 2", "layers: many", "layers: many"),
        ("chat_template: true", "chat_tempalte: true", "chat_tempalte"),
        (f"commit: '{'0' * 40}'", "commit: '0'", "commit: '0'"),
        ("config.json: git-sha1", "config.json: md5", "config.json: md5"),
        ("config.json: git", "../config.json: git", "../config.json"),
        ("  uv:", "  uv: 3\n  vu:", "  uv: 3"),
    ],
)
def test_a_broken_entry_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    error = edited(tmp_path, old, new)
    assert "is broken at" in error.what
    assert error.where in (f"deployer.lock:{line_of(tmp_path, line)}", f"deployer.lock:{line_of(tmp_path, 'files:')}")


def test_a_file_entry_edited_by_hand_is_noticed(tmp_path: Path) -> None:
    assert "digest does not match" in edited(tmp_path, "git-sha1:1", "git-sha1:2").what


def test_a_requirement_file_cannot_be_pointed_elsewhere(tmp_path: Path) -> None:
    error = edited(tmp_path, f"file: {target('e-1').file}", "file: ../../etc/passwd")
    assert "should be" in error.what
    assert error.where == f"deployer.lock:{line_of(tmp_path, '../../etc')}"
    assert "not one we can resolve for" in edited(tmp_path, f"{TARGET}:", "3.11/sparc/glibc-2.36:").what
    assert "cannot be a file name" in edited(tmp_path, "  e-1:", "  ../e-1:").what


def test_a_requirement_file_that_is_missing_or_changed_is_named(tmp_path: Path) -> None:
    write_lock(tmp_path, example())
    file = tmp_path / target("e-1").file
    file.write_text(TEXT + "evil==1\n")
    error = broken(tmp_path)
    assert "its digest differs" in error.what
    assert error.where == target("e-1").file
    file.unlink()
    error = broken(tmp_path)
    assert "is missing" in error.what
    assert error.where == f"deployer.lock:{line_of(tmp_path, 'file: locks')}"


def test_a_checkout_with_windows_line_ends_is_the_same_lock(tmp_path: Path) -> None:
    write_lock(tmp_path, example())
    for file in (tmp_path / "deployer.lock", tmp_path / target("e-1").file):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_lock(tmp_path) == example()


def test_a_folder_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file in the way")
    with pytest.raises(LockfileError, match="cannot write the lock"):
        write_lock(tmp_path, example())
    assert not (tmp_path / "deployer.lock").exists()


def test_a_write_that_fails_half_way_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lock(tmp_path, example())
    before = (tmp_path / "deployer.lock").read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LockfileError, match="No space left on device"):
        write_lock(tmp_path, Locked())
    assert (tmp_path / "deployer.lock").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_reading_a_lock_loads_no_hub_client() -> None:
    code = "import sys, deployer.lock.file, deployer.lock.check, deployer.lock.folder, deployer.lock.resolve; "
    code += "print([m for m in ('huggingface_hub', 'httpx2', 'fabric', 'uv') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
_NAMES = _TEXT.filter(lambda name: not name.startswith((".", "/")) and "/" not in name)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=_TEXT, files=st.dictionaries(_NAMES, st.integers(0, 10**15), max_size=3), word=_TEXT)
def test_whatever_names_and_words_there_are_they_come_back(tmp_path: Path, key: str, files: dict[str, int], word: str) -> None:
    locked_files = tuple(LockedFile(name, size, "sha256:" + "5" * 64) for name, size in sorted(files.items()))
    facts = ModelFacts((word,), word, license=word)
    found = LockedModel(f"path:{key}", "path", key, None, None, content_digest(locked_files), locked_files, facts)
    write_lock(tmp_path, Locked({found.key: found}))
    assert read_lock(tmp_path).models == {found.key: found}
