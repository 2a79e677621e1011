"""The request log of a replica, as files below /var/log/deployer. Called by `logs`; what went to the journal is read there."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

from deployer.agent import paths, wire
from deployer.agent.system import System

FILE = "requests.jsonl"
OLD = 1000  # at most so many old files of one replica are looked for
POLL_S = 0.5
FACILITY = "16"  # of records in the journal: local0, as deployer/handler/sinks.py writes them


def path_of(fleet: wire.Fleet, folder: str) -> str:
    """`folder`: "chat/0"."""
    path = os.path.normpath("%s/%s/%s/%s" % (wire.ROOT_LOGS, fleet["name"], folder, FILE))
    if not paths.below(path, "%s/%s" % (wire.ROOT_LOGS, fleet["name"])):
        raise paths.Refusal("%r is not a replica's directory" % folder)
    return path


def read(
    system: System, files: Dict[str, str], lines: int, since: Optional[str], follow: bool
) -> Iterator[Optional[Tuple[str, str, str]]]:
    """(unit, when, line) of each file's last lines, then with `follow` of those that come, and None now and then. `files`: path
    by unit.
    """
    at: Dict[str, Tuple[int, int]] = {}
    found: List[Tuple[str, str, str]] = []
    for unit, path in sorted(files.items()):
        at[unit] = _place(system, path)
        found += [(unit, _when(line), line) for line in _last(system, path, lines)]
    for one in sorted(found, key=lambda entry: entry[1]):
        if since is None or one[1] >= since:
            yield one
    while follow:
        for unit, path in sorted(files.items()):
            fresh, at[unit] = _fresh(system, path, at[unit])
            for line in fresh:
                yield unit, _when(line), line
        yield None
        system.sleep(POLL_S)


def _last(system: System, path: str, wanted: int) -> List[str]:
    """From the newest file back, as far as needed."""
    found: List[str] = []
    for name in [path, *("%s.%d" % (path, number) for number in range(1, OLD + 1))]:
        try:
            with open(system.path(name), encoding="utf-8", errors="replace") as file:
                found = file.read().splitlines()[-wanted:] + found
        except OSError:
            break
        if len(found) >= wanted:
            break
    return found[-wanted:] if wanted else []


def _place(system: System, path: str) -> Tuple[int, int]:
    """(inode, size); a file that is not there yet is at its beginning."""
    try:
        found = os.stat(system.path(path))
        return found.st_ino, found.st_size
    except OSError:
        return 0, 0


def _fresh(system: System, path: str, at: Tuple[int, int]) -> Tuple[List[str], Tuple[int, int]]:
    """Whole lines that came, and where to go on; of a file that was rotated first its rest. Which file it is is asked of the
    open one: the name may be another file's a moment later. Between two files there is none, and nothing is new yet.
    """
    inode, offset = at
    found: List[str] = []
    try:
        with open(system.path(path), "rb") as file:
            now = os.fstat(file.fileno()).st_ino
            if now != inode:
                if inode and _place(system, path + ".1")[0] == inode:
                    found += _lines(system.path(path + ".1"), offset)
                offset = 0
            file.seek(offset)
            data = _whole(file.read())
    except OSError:
        return found, at
    return found + data.decode("utf-8", "replace").splitlines(), (now, offset + len(data))


def _lines(real: str, offset: int) -> List[str]:
    with open(real, "rb") as file:
        file.seek(offset)
        return _whole(file.read()).decode("utf-8", "replace").splitlines()


def _whole(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _when(line: str) -> str:
    try:
        record: Any = json.loads(line)
        return str(record["at"])
    except (ValueError, KeyError, TypeError):
        return ""
