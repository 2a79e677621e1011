"""What git says about the fleet's folder. Called before planning; a folder without git is fine."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from deployer.plan.world import Git


def read_git(root: Path, mentioned: Iterable[str] = ()) -> Git:
    """The commit, branch and whether the fleet's own files differ from it; for each commit that hosts mention, whether it
    is an ancestor of ours (None: cannot be told, as with a shallow clone or a commit we do not have).
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return Git(ancestors={other: None for other in mentioned})
    dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=normal", "--", "."))
    branch = _git(root, "symbolic-ref", "--short", "--quiet", "HEAD") or None
    return Git(commit, branch, dirty, {other: _ancestor(root, other, commit) for other in mentioned})


def email(root: Path) -> str | None:
    return _git(root, "config", "user.email") or None


def _ancestor(root: Path, other: str, ours: str) -> bool | None:
    if other == ours:
        return True
    if not other.isalnum():
        return None
    code = _run(root, "merge-base", "--is-ancestor", other, ours)[0]
    return {0: True, 1: False}.get(code)


def _git(root: Path, *words: str) -> str:
    code, out = _run(root, *words)
    return out.strip() if code == 0 else ""


def _run(root: Path, *words: str) -> tuple[int, str]:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return -1, ""
    return done.returncode, done.stdout
