"""`put`: bytes from the controller into ROOT_BLOBS, by digest. Resumes where a cut connection left off."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any, Dict

from deployer.agent import copies, files, paths, wire
from deployer.agent.system import System
from deployer.agent.talk import Talk

CHUNK = 1 << 18


def put(system: System, request: Dict[str, Any], talk: Talk) -> None:
    """For each blob "want" with the offset to go on from, or "have"; then "stored". A blob whose bytes are not what its
    digest says is thrown away whole. Raises Refusal.
    """
    if "copy" in request and not copies.tell(system, str(request["run"]), request["copy"]):
        for blob in request.get("blobs", []):
            talk.say({"type": "have", "sha256": blob["sha256"]})  # nobody waits for it any more
        return
    files.make_directories(system, wire.ROOT_BLOBS, 0o700)
    for blob in request.get("blobs", []):
        sha256, size = str(blob["sha256"]), int(blob["size"])
        if not re.match(r"[0-9a-f]{64}\Z", sha256) or size < 0:
            raise paths.Refusal("%r is not a SHA-256 in hex" % (sha256,))
        if is_there(system, sha256, size):
            talk.say({"type": "have", "sha256": sha256})
            continue
        _receive(system, sha256, size, talk)
        talk.say({"type": "stored", "sha256": sha256})


def path_of(sha256: str) -> str:
    return "%s/%s" % (wire.ROOT_BLOBS, sha256)


def is_there(system: System, sha256: str, size: int) -> bool:
    try:
        return os.path.getsize(system.path(path_of(sha256))) == size
    except OSError:
        return False


def received(system: System, sha256: str) -> int:
    """Bytes that are here already, of a whole blob or of a part."""
    for path in (path_of(sha256), path_of(sha256) + ".part"):
        try:
            return os.path.getsize(system.path(path))
        except OSError:
            continue
    return 0


def _receive(system: System, sha256: str, size: int, talk: Talk) -> None:
    part = path_of(sha256) + ".part"
    offset = received(system, sha256)
    if offset > size:
        files.remove(system, part)
        offset = 0
    summed = hashlib.sha256()
    if offset:
        with open(system.path(part), "rb") as file:
            for data in iter(lambda: file.read(files.CHUNK), b""):
                summed.update(data)
    talk.say({"type": "want", "sha256": sha256, "offset": offset})
    descriptor = os.open(system.path(part), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while offset < size:
            data = talk.read(min(CHUNK, size - offset))
            if not data:
                raise paths.Refusal(
                    "the bytes of %s ended after %d of %d; the next put goes on from there" % (sha256[:12], offset, size)
                )
            file.write(data)
            summed.update(data)
            offset += len(data)
        file.flush()
        os.fsync(file.fileno())
    if summed.hexdigest() != sha256:
        files.remove(system, part)
        raise paths.Refusal(
            "what arrived for %s has the digest %s: it was thrown away; the file changed since the lock was made, or the "
            "transfer is broken" % (sha256[:12], summed.hexdigest()[:12])
        )
    os.rename(system.path(part), system.path(path_of(sha256)))
