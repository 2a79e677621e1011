"""What git says about a fleet, with a real git."""

import subprocess
from pathlib import Path

import pytest

from deployer.app.gitfacts import read_git


def git(folder: Path, *words: str) -> str:
    identity = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    ]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_commit_branch_and_whether_files_differ(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert (read_git(repository).commit, read_git(repository).branch, read_git(repository).dirty) == (head, "main", False)
    (repository / "file").write_text("2")
    assert read_git(repository).dirty


def test_a_commit_of_somebody_else_is_no_ancestor_and_an_unknown_one_cannot_be_told(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "other")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "theirs")
    theirs = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "ours")
    found = read_git(repository, [first, theirs, "0" * 40, "--upload-pack=x"]).ancestors
    assert found == {first: True, theirs: False, "0" * 40: None, "--upload-pack=x": None}


def test_a_folder_without_git_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = read_git(tmp_path, ["abc"])
    assert (found.commit, found.dirty, found.ancestors) == (None, False, {"abc": None})
