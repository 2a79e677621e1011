"""SHA-256 of files, remembered between runs so that planning with a folder of many GB is fast. Called by folder.py."""

import hashlib
import json
import os
import time
from pathlib import Path

from deployer.errors import LockfileError

_FILE = ".deployer/cache/digests.json"
_CHUNK = 1 << 20
_SETTLED_NS = 2_000_000_000  # a file younger than this may change again without its mtime showing it


class DigestCache:
    """Digests by (path, size, mtime, inode). A cache that cannot be read or written only costs time."""

    def __init__(self, root: Path | None = None) -> None:
        """`root` is the fleet; None keeps nothing on disk."""
        self._file = root / _FILE if root else None
        self._known: dict[str, list[object]] = _load(self._file) if self._file else {}
        self._changed = False

    def sha256(self, path: Path) -> str:
        """The file's digest in hex. Raises OSError, and LockfileError when the file changes under our hands."""
        key, before = os.path.abspath(path), path.stat()
        mark: list[object] = [before.st_size, before.st_mtime_ns, before.st_ino]
        known = self._known.get(key)
        if known is not None and known[:3] == mark and isinstance(known[3], str):
            return known[3]
        read_at = time.time_ns()
        hexdigest = _read(path)
        after = path.stat()
        if [after.st_size, after.st_mtime_ns, after.st_ino] != mark:
            raise LockfileError(
                "the file changed while it was read", where=str(path), hint="wait until it is complete, then try again"
            )
        if read_at - before.st_mtime_ns > _SETTLED_NS:
            self._known[key] = [*mark, hexdigest]
            self._changed = True
        return hexdigest

    def save(self) -> None:
        """Writes what is new, 0600. Files that are gone are forgotten."""
        if self._file is None or not self._changed:
            return
        kept = {path: entry for path, entry in sorted(self._known.items()) if os.path.exists(path)}
        temporary = self._file.with_name(f"digests.{os.getpid()}.tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            ignore = self._file.parents[1] / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps(kept, indent=0))
            temporary.replace(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)


def _load(file: Path) -> dict[str, list[object]]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {path: entry for path, entry in content.items() if isinstance(entry, list) and len(entry) == 4}


def _read(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
