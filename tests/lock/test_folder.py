import os
import time
from pathlib import Path

import pytest

from deployer.errors import LockfileError
from deployer.lock import digests
from deployer.lock.digests import DigestCache
from deployer.lock.folder import digest_folder, digest_folders
from deployer.state.needs import ModelNeed
from tests.lock.examples import model_folder


def refusal(folder: Path) -> LockfileError:
    with pytest.raises(LockfileError) as raised:
        digest_folder(folder, name="models/x")
    return raised.value


def test_a_folder_gives_files_digests_and_facts(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "models" / "tiny")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("x")
    (folder / "sub").mkdir()
    (folder / "sub" / "a b.txt").write_text("x")
    model = digest_folder(folder, name="models/tiny")
    assert (model.key, model.source, model.commit) == ("path:models/tiny", "path", None)
    assert [f.path for f in model.files] == ["chat_template.jinja", "config.json", "model.safetensors", "sub/a b.txt"]
    assert (model.facts.hidden_size, model.facts.chat_template, model.facts.weights_bytes) == (256, True, 1000)


def test_the_digest_follows_content_and_names_and_nothing_else(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    first = digest_folder(folder).digest
    os.utime(folder / "config.json", (1, 1))
    assert digest_folder(folder).digest == first
    (folder / "model.safetensors").rename(folder / "model2.safetensors")
    second = digest_folder(folder).digest
    (folder / "model2.safetensors").write_bytes(b"v" * 1000)
    assert len({first, second, digest_folder(folder).digest}) == 3


def test_a_second_look_does_not_read_the_files_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "m")
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    need = [ModelNeed(path="m")]
    first = digest_folders(tmp_path, need)
    read: list[Path] = []
    real = digests._read
    monkeypatch.setattr(digests, "_read", lambda path: read.append(path) or real(path))
    assert digest_folders(tmp_path, need) == first
    assert read == []
    os.utime(folder / "config.json", (2, 2))
    assert digest_folders(tmp_path, need) == first
    assert [path.name for path in read] == ["config.json"]


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    now = time.time_ns()
    os.utime(folder / "config.json", ns=(now, now))
    before = digest_folders(tmp_path, [ModelNeed(path="m")])["path:m"].digest
    changed = (folder / "config.json").read_text().replace("256", "512")
    (folder / "config.json").write_text(changed)
    os.utime(folder / "config.json", ns=(now, now))  # same size, same time, same inode
    assert digest_folders(tmp_path, [ModelNeed(path="m")])["path:m"].digest != before


def test_a_broken_cache_only_costs_time(tmp_path: Path) -> None:
    model_folder(tmp_path / "m")
    cache = tmp_path / ".deployer" / "cache" / "digests.json"
    cache.parent.mkdir(parents=True)
    for content in ("{", "[]", '{"/x": [1]}'):
        cache.write_text(content)
        assert digest_folders(tmp_path, [ModelNeed(path="m")])["path:m"].files


def test_the_cache_is_kept_out_of_git(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    os.utime(folder / "config.json", (1, 1))
    digest_folders(tmp_path, [ModelNeed(path="m")])
    assert (tmp_path / ".deployer" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / ".deployer" / "cache" / "digests.json").stat().st_mode & 0o777 == 0o600


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    monkeypatch.setattr(digests, "_read", lambda path: path.write_text("bcd") and "0")
    with pytest.raises(LockfileError, match="changed while it was read"):
        DigestCache().sha256(file)


def test_a_folder_that_is_not_there_or_is_a_file_is_said_to_be_so(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "no").what
    (tmp_path / "file").write_text("")
    assert "names a file" in refusal(tmp_path / "file").what
    assert "cannot read" in refusal(tmp_path / "nul\0byte").what


def test_an_empty_folder_and_one_without_config_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("")
    assert "is empty" in refusal(tmp_path).what
    (tmp_path / "weights.bin").write_text("x")
    error = refusal(tmp_path)
    assert "no config.json" in error.what
    assert error.where == "models/x"


def test_a_malformed_config_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{'a': 1}")
    assert refusal(tmp_path).where == "models/x/config.json"


def test_links_inside_the_folder_are_files_and_links_out_of_it_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "copy.safetensors").symlink_to("model.safetensors")
    assert "copy.safetensors" in [f.path for f in digest_folder(folder).files]
    (tmp_path / "secret").write_text("x")
    (folder / "leak").symlink_to("../secret")
    error = refusal(folder)
    assert "leads out of" in error.what
    assert error.where == "models/x/leak"


def test_links_to_folders_loops_and_dangling_links_are_refused(tmp_path: Path) -> None:
    for number, target in enumerate(["..", "sub", "loop", "nowhere", "/"]):
        folder = model_folder(tmp_path / f"m{number}")
        (folder / "sub").mkdir()
        (folder / "loop").symlink_to(target)
        assert refusal(folder).where == "models/x/loop"


def test_pipes_and_unprintable_names_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    os.mkfifo(folder / "pipe")
    assert "only plain files" in refusal(folder).what
    (folder / "pipe").unlink()
    (folder / "a\nb").write_text("x")
    assert r"a\nb" in refusal(folder).what


def test_a_git_lfs_pointer_is_not_taken_for_the_weights(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "model.safetensors").write_text("version https://git-lfs.example/spec/v1\noid sha256:0\nsize 9\n")
    error = refusal(folder)
    assert "Git LFS pointer" in error.what
    assert "git lfs pull" in (error.hint or "")
