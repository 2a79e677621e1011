"""`attach`: follows a run from any byte of its journal, and passes on what the controller says to it.

A word to the run is a file in its directory, so that it reaches the run whoever says it and whenever.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, List

from deployer.agent import files, journal, paths, runs, wire
from deployer.agent.system import System
from deployer.agent.talk import Talk
from deployer.agent.times import iso

POLL_S = 0.03
TICK_S = 5.0  # a line now and then, so that a dead connection is noticed
ALIVE_S = 2.0  # how often systemd is asked whether the run still lives


def attach(system: System, request: Dict[str, Any], talk: Talk) -> None:
    run_id = str(request.get("run", ""))
    if not os.path.isdir(system.path(paths.run(run_id))):
        raise paths.Refusal("this host knows no run %s" % run_id)
    follow(system, run_id, int(request.get("offset") or 0), talk)


def follow(system: System, run_id: str, offset: int, talk: Talk) -> None:
    """Events until the report, or until the controller detaches. A run that is gone without a report is "lost"."""
    words = talk.words()
    said = asked = system.clock()
    with open(system.path(journal.path_of(run_id)), "rb") as file:
        while True:
            file.seek(offset)
            events, offset = journal.lines(file.read(), offset)
            for event in events:
                talk.say(event)
                said = system.clock()
                if event["type"] == "report":
                    _seen(system, run_id)
                    return
            if _obey(system, run_id, words.next()):
                return
            if events:
                continue
            system.pause(POLL_S)
            if system.clock() - said > TICK_S:
                talk.say({"type": "tick"})
                said = system.clock()
            if system.clock() - asked > ALIVE_S:
                asked = system.clock()
                if not runs.living(system, [run_id]) and not _more(file, offset):
                    talk.say(_lost(system, run_id))
                    return


def _more(file: Any, offset: int) -> bool:
    """Whether it wrote something between our last look and its end."""
    file.seek(offset)
    return b"\n" in file.read()


def _obey(system: System, run_id: str, word: Any) -> bool:
    """True when the controller lets go."""
    if not word:
        return False
    with contextlib.suppress(OSError):  # a full disk must not end the talk
        files.write(system, paths.run(run_id) + "/heard", b"%.3f" % system.clock(), 0o600)
    if word.get("stop"):
        files.write(system, paths.run(run_id) + "/stop", b"", 0o600)
    if word.get("pause"):
        files.write(system, paths.run(run_id) + "/pause", b"", 0o600)
    if word.get("resume"):
        files.remove(system, paths.run(run_id) + "/pause")
    stage = word.get("open")
    if wire.stage_rank(str(stage))[0] < 1 << 20:
        files.write(system, "%s/open-%s" % (paths.run(run_id), stage), json.dumps(word.get("data") or {}).encode(), 0o600)
    return bool(word.get("detach"))


def _seen(system: System, run_id: str) -> None:
    """Somebody has read the report: a run that removes the agent's own traces waits for that."""
    with contextlib.suppress(OSError):
        files.write(system, paths.run(run_id) + "/seen", b"", 0o600)


def _lost(system: System, run_id: str) -> Dict[str, Any]:
    """A report for a run that could not write one: it was killed, or the host went down under it."""
    states = {tx["id"]: "skipped" for tx in _transactions(system, run_id)}
    for event in journal.read(system, run_id):
        if event["type"] == "step" and event.get("tx") in states:
            states[event["tx"]] = "kept"
    message = "the run ended without a report: it was killed, or the host went down"
    made = {tx: {"state": state, "message": message if state == "kept" else None} for tx, state in states.items()}
    return {"type": "report", "at": iso(system.now()), "result": "lost", "transactions": made}


def _transactions(system: System, run_id: str) -> List[Dict[str, Any]]:
    asked = files.read_json(system, paths.run(run_id) + "/request.json") or {}
    found = asked.get("transactions", [])
    return found if isinstance(found, list) else []
