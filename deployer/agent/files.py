"""Files below the root: read whole, written to a temporary name and renamed, digested. Paths are the host's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional

from deployer.agent.system import System

CHUNK = 1 << 20


def read(system: System, path: str) -> Optional[bytes]:
    """The content; None when it is not there. Other trouble is an OSError."""
    try:
        with open(system.path(path), "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_json(system: System, path: str) -> Any:
    """The value; None when the file is not there or is no JSON (half-written by a crash of an older version)."""
    data = read(system, path)
    if data is None:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None


def write(system: System, path: str, data: bytes, mode: int = 0o644, owner: Optional[str] = None) -> None:
    """Whole or not at all: a temporary name beside it, synced, renamed. The directory must be there."""
    unique = "%d-%d" % (os.getpid(), threading.get_ident())  # two may write the same file at once
    temporary = os.path.join(os.path.dirname(path), ".%s.deployer-%s" % (os.path.basename(path)[:180], unique))
    real = system.path(temporary)
    try:
        descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if owner:
            system.chown(temporary, owner)
        os.chmod(real, mode)
        os.rename(real, system.path(path))
    except OSError:
        remove(system, temporary)
        raise
    _sync_directory(os.path.dirname(system.path(path)))


def write_json(system: System, path: str, value: Any, mode: int = 0o644) -> None:
    write(system, path, json.dumps(value, sort_keys=True, ensure_ascii=False).encode() + b"\n", mode)


def _sync_directory(real: str) -> None:
    descriptor = os.open(real, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(system: System, path: str) -> bool:
    try:
        os.unlink(system.path(path))
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_directories(system: System, path: str, mode: int = 0o755) -> List[str]:
    """Makes the directory and its parents. Returns the ones that were not there, outermost first."""
    missing = []
    while path not in ("", "/") and not os.path.isdir(system.path(path)):
        missing.append(path)
        path = os.path.dirname(path)
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):  # somebody else made it meanwhile
            os.mkdir(system.path(one))
            os.chmod(system.path(one), mode)
    return missing[::-1]


def missing_directories(system: System, path: str) -> List[str]:
    """Which directories `make_directories` would make, outermost first."""
    missing = []
    while path not in ("", "/") and not os.path.isdir(system.path(path)):
        missing.append(path)
        path = os.path.dirname(path)
    return missing[::-1]


def remove_empty(system: System, paths: List[str]) -> None:
    """Innermost first; one that is not empty, or not there, is left."""
    for path in sorted(paths, key=len, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(system.path(path))


def remove_tree(system: System, path: str) -> bool:
    """The directory with all below it; links are removed, never followed."""
    real = system.path(path)
    if os.path.islink(real):
        os.unlink(real)
        return True
    if not os.path.isdir(real):
        return False
    import shutil  # late: it brings all compressors, and a probe needs none

    shutil.rmtree(real)
    return True


def remove_what_can_be(system: System, path: str) -> None:
    """As remove_tree; what cannot be removed (a mount point) is left, and the rest goes."""
    import shutil

    shutil.rmtree(system.path(path), ignore_errors=True)


def digest(system: System, path: str, progress: Optional[Callable[[int], None]] = None) -> str:
    """SHA-256 in hex. `progress` is told how many more bytes were read."""
    return _hash(system, path, hashlib.sha256(), progress)


def _hash(system: System, path: str, summed: Any, progress: Optional[Callable[[int], None]]) -> str:
    with open(system.path(path), "rb") as file:
        while True:
            data = file.read(CHUNK)
            if not data:
                return str(summed.hexdigest())
            summed.update(data)
            if progress is not None:
                progress(len(data))


def matches(system: System, path: str, wanted: str, progress: Optional[Callable[[int], None]] = None) -> bool:
    """`wanted` is "sha256:<hex>", "git-sha1:<hex>" (the id git gives the content), or a bare SHA-256."""
    kind, _, value = wanted.rpartition(":")
    if kind == "git-sha1":
        size = os.path.getsize(system.path(path))
        return _hash(system, path, hashlib.sha1(b"blob %d\0" % size), progress) == value
    if kind not in ("", "sha256"):
        raise ValueError("no such kind of digest: %s" % kind)
    return _hash(system, path, hashlib.sha256(), progress) == value


def walk(system: System, path: str) -> Iterator[str]:
    """Files below a directory, relative, sorted. Links are not followed."""
    base = system.path(path)
    for folder, folders, names in os.walk(base):
        folders.sort()
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), base)


def size_of(system: System, path: str) -> int:
    """Bytes of all files below a directory; what vanishes meanwhile counts nothing."""
    total = 0
    for folder, _folders, names in os.walk(system.path(path)):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total


def describe(system: System, path: str) -> Dict[str, Any]:
    """What stands at a path, so that it can be put back: {"is": "file" | "directory" | "link" | "nothing", …}."""
    import base64

    real = system.path(path)
    try:
        found = os.lstat(real)
    except (FileNotFoundError, NotADirectoryError):
        return {"is": "nothing"}
    kept: Dict[str, Any] = {"mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
    if stat.S_ISLNK(found.st_mode):
        return {"is": "link", "target": os.readlink(real)}
    if stat.S_ISDIR(found.st_mode):
        return dict(kept, **{"is": "directory"})
    return dict(kept, **{"is": "file", "content": base64.b64encode(read(system, path) or b"").decode()})


def restore(system: System, path: str, kept: Dict[str, Any]) -> None:
    """Puts back what `describe` found."""
    import base64

    real = system.path(path)
    if kept["is"] == "nothing":
        remove(system, path)
        return
    make_directories(system, os.path.dirname(path))
    if kept["is"] == "link":
        remove(system, path)
        os.symlink(kept["target"], real)
        return
    if kept["is"] == "directory":
        make_directories(system, path, kept["mode"])
    else:
        write(system, path, base64.b64decode(kept["content"]), kept["mode"])
    if system.uid() == 0 and os.geteuid() == 0:
        os.chown(real, kept["uid"], kept["gid"])
