"""Folders as repositories: revisions, files, git and LFS digests."""

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

LFS_FROM = 64 * 1024  # bytes; bigger files are announced by sha256, smaller ones by their git blob id

_digests: dict[tuple[str, int, int], tuple[str, str]] = {}
_guard = threading.Lock()


@dataclass(frozen=True)
class HubFile:
    path: Path
    name: str  # relative to the revision

    @cached_property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def lfs(self) -> bool:
        return self.size >= LFS_FROM

    @property
    def sha256(self) -> str:
        return self._digests[0]

    @property
    def git_sha1(self) -> str:
        return self._digests[1]

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_sha1

    @property
    def _digests(self) -> tuple[str, str]:
        stat = self.path.stat()
        key = (str(self.path), stat.st_mtime_ns, stat.st_size)
        with _guard:
            if key not in _digests:
                sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % stat.st_size)
                with self.path.open("rb") as stream:
                    while chunk := stream.read(1 << 20):
                        sha256.update(chunk)
                        sha1.update(chunk)
                _digests[key] = (sha256.hexdigest(), sha1.hexdigest())
            return _digests[key]

    def tree_entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "oid": self.git_sha1, "size": self.size, "path": self.name}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return entry

    def sibling(self, with_blobs: bool) -> dict[str, Any]:
        entry: dict[str, Any] = {"rfilename": self.name}
        if with_blobs:
            entry |= {"size": self.size, "blobId": self.git_sha1}
            if self.lfs:
                entry["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": 134}
        return entry


@dataclass(frozen=True)
class Revision:
    """One branch or tag. Its commit changes when its content does."""

    folder: Path

    def files(self) -> list[HubFile]:
        return [HubFile(p, p.relative_to(self.folder).as_posix()) for p in sorted(self.folder.rglob("*")) if p.is_file()]

    def folders(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_dir())

    @property
    def commit(self) -> str:
        content = "".join(f"{f.name}:{f.sha256}\n" for f in self.files())
        return hashlib.sha1(content.encode()).hexdigest()

    def card(self) -> dict[str, Any]:
        """The YAML at the top of README.md."""
        readme = self.folder / "README.md"
        parts = readme.read_text().split("---\n", 2) if readme.exists() else []
        loaded = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
        return loaded if isinstance(loaded, dict) else {}


def revisions(root: Path, repo: str) -> dict[str, Revision] | None:
    """Branches and tags of a repository by name; None when there is no such repository."""
    folder = root / repo
    if ".." in repo or not folder.is_dir():
        return None
    return {p.name: Revision(p) for p in sorted(folder.iterdir()) if p.is_dir()}


def find(known: dict[str, Revision], wanted: str) -> Revision | None:
    """By branch, tag, full commit or the start of one."""
    if wanted in known:
        return known[wanted]
    return next((r for r in known.values() if len(wanted) >= 7 and r.commit.startswith(wanted)), None)
