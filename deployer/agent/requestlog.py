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
        shown, at[unit] = _last(system, path, lines)
        found += [(unit, _when(line), line) for line in shown]
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


def _last(system: System, path: str, wanted: int) -> Tuple[List[str], Tuple[int, int]]:
    """From the newest file back, as far as needed; and where to go on. Between two files there is no newest."""
    found: List[str] = []
    at = (0, 0)
    for name in [path, *("%s.%d" % (path, number) for number in range(1, OLD + 1))]:
        try:
            with open(system.path(name), "rb") as file:
                data = _whole(file.read())
                if name == path:
                    at = (os.fstat(file.fileno()).st_ino, len(data))
        except OSError:
            if name == path:
                continue
            break
        found = _lines(data)[-wanted:] + found
        if len(found) >= wanted:
            break
    return found[-wanted:] if wanted else [], at


def _fresh(system: System, path: str, at: Tuple[int, int]) -> Tuple[List[str], Tuple[int, int]]:
    """Whole lines that came, and where to go on; of a file that was rotated first its rest, and what was rotated after it.
    Which file it is is asked of the open one: the name may be another file's a moment later. Between two files there is none,
    and nothing is new yet.
    """
    inode, offset = at
    found: List[str] = []
    try:
        with open(system.path(path), "rb") as file:
            now = os.fstat(file.fileno()).st_ino
            if now != inode:
                found += _turned(system, path, inode, offset, now) if inode else []
                offset = 0
            file.seek(offset)
            data = _whole(file.read())
    except OSError:
        return found, at
    return found + _lines(data), (now, offset + len(data))


def _turned(system: System, path: str, inode: int, offset: int, now: int) -> List[str]:
    """The rest of the file that was read, and all of those that came and went between it and the one of `now`. They are opened
    newest first: what is turned meanwhile has the next number, so none is missed, and one that is met twice counts once.
    Nothing when the file is gone.
    """
    newer: Dict[int, List[str]] = {}
    missing = 0  # while files are renamed one number is nobody's
    for number in range(1, OLD + 1):
        try:
            with open(system.path("%s.%d" % (path, number)), "rb") as file:
                own = os.fstat(file.fileno()).st_ino
                file.seek(offset if own == inode else 0)
                newer[own] = _lines(_whole(file.read()))
        except OSError:
            missing += 1
            if missing > 1:
                break
            continue
        if own == inode:
            newer.pop(now, None)
            return [line for lines in reversed(list(newer.values())) for line in lines]
    return []


def _whole(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _lines(whole: bytes) -> List[str]:
    """Only at line feeds: a text may hold what else ends a line for somebody."""
    return whole.decode("utf-8", "replace").split("\n")[:-1]


def _when(line: str) -> str:
    try:
        record: Any = json.loads(line)
        return str(record["at"])
    except (ValueError, KeyError, TypeError):
        return ""
