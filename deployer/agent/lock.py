"""The host's lock, one for all fleets. An open-file-description lock: it dies with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
from typing import Any, Dict, Optional

from deployer.agent import files, wire
from deployer.agent.system import System
from deployer.agent.times import iso

_FLOCK = "hhqqi4x"  # struct flock: l_type, l_whence, l_start, l_len, l_pid


def words(system: System, request: Dict[str, Any], doing: str) -> Dict[str, Any]:
    """What a run says of itself while it holds the lock."""
    asked = {"run": request["run"], "who": request.get("who"), "fleet": request["fleet"]["name"]}
    return dict(asked, since=iso(system.now()), doing=doing)


class HostLock:
    """Held from `take` to `release`, or to the end of the process. The file says who, since when, doing what."""

    def __init__(self, descriptor: int, says: Dict[str, Any]) -> None:
        self._descriptor: Optional[int] = descriptor
        self._says = says
        self._write()

    def doing(self, what: str) -> None:
        self._says["doing"] = what
        self._write()

    def _write(self) -> None:
        if self._descriptor is None:
            return
        data = json.dumps(self._says, ensure_ascii=False).encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))

    def release(self) -> None:
        """Once is enough."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def take(system: System, says: Dict[str, Any]) -> Optional[HostLock]:
    """The lock, or None when somebody else has it. Never waits."""
    files.make_directories(system, wire.ROOT_RUN)
    path = system.path(wire.LOCK)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return None
            raise
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return HostLock(descriptor, dict(says))
        except FileNotFoundError:
            pass
        os.close(descriptor)  # the file was removed between open and lock: that lock protects nothing


def holder(system: System) -> Optional[Dict[str, Any]]:
    """What the holder says of itself; None when nobody holds it. Asks, never takes."""
    try:
        descriptor = os.open(system.path(wire.LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
        if struct.unpack(_FLOCK, answer)[0] == fcntl.F_UNLCK:
            return None
        try:
            # what it says is written over what it said: for a moment the end of the old may stand behind the new
            said, _end = json.JSONDecoder().raw_decode(os.pread(descriptor, 65536, 0).decode("utf-8", "replace"))
            return said if isinstance(said, dict) else {}
        except ValueError:
            return {}  # it holds the lock and has not yet said who it is
    finally:
        os.close(descriptor)
