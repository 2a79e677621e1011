"""Limits and switches of this machine's kernel that many hosts on it need. Called by `lab.network`.

Raised when a lab comes up, put back when the last one goes.
"""

import json
from pathlib import Path

from deployer.lab.places import LabRecord, all_records, locked, state_home

WANTED = {
    "net/ipv4/ip_forward": 1,  # the hosts' way to package indexes
    "fs/inotify/max_user_instances": 16384,  # each systemd takes a few; the usual 128 is gone with twenty hosts
    "fs/inotify/max_user_watches": 524288,
}


SETTINGS = Path("/proc/sys")


def lock_file() -> Path:
    """Under this lock labs share what belongs to the whole machine."""
    return state_home() / "machine.lock"


def prepare() -> None:
    """Raises what is too low, and writes down what it was."""
    with locked(lock_file()):
        before = _before()
        for name, wanted in WANTED.items():
            setting = SETTINGS / name
            now = int(setting.read_text())
            if now < wanted:
                before.setdefault(name, now)
                _file().write_text(json.dumps(before))
                setting.write_text(str(wanted))


def restore(gone: LabRecord) -> None:
    """Puts everything back when no other lab than `gone` is there."""
    with locked(lock_file()):
        if any(record.key != gone.key for record in all_records()):
            return
        for name, value in _before().items():
            (SETTINGS / name).write_text(str(value))
        _file().unlink(missing_ok=True)


def _file() -> Path:
    return state_home() / "kernel-before.json"


def _before() -> dict[str, int]:
    try:
        return dict(json.loads(_file().read_text()))
    except (FileNotFoundError, ValueError):
        return {}
