"""`start`: keeps the request, hands the secrets to a transient unit, and follows the run. The unit lives on without us."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, Optional

from deployer.agent import files, paths, runs, wire
from deployer.agent.attach import follow
from deployer.agent.system import Silent, System, TooLong
from deployer.agent.talk import Talk

STOP_S = 600  # how long the host's going down waits for a run to end, and how long undoing a killed one may take
START_S = 30.0
HINT_ROOT = "the login user needs root rights here: set sudo: true in the host's file, or log in as root"


def start(system: System, request: Dict[str, Any], talk: Talk, agent: Optional[str] = None) -> None:
    """Starts a wire.RunRequest. One that was started already (the connection was lost before the answer came) is only
    followed. Raises Refusal and Silent.
    """
    run_id, fleet = str(request.get("run", "")), paths.check_fleet(request["fleet"])
    if request.get("wire") != wire.VERSION:
        raise paths.Refusal("the request speaks version %r of the protocol, this agent %d" % (request.get("wire"), wire.VERSION))
    if system.uid() != 0:
        raise paths.Refusal("a run changes the system: " + HINT_ROOT)
    folder = paths.run(run_id)
    if not os.path.isdir(system.path(folder)):
        runs.forget_old(system)
        _keep(system, folder, request)
        _launch(system, run_id, request.get("secrets") or {}, agent or sys.argv[0])
    elif (runs.request(system, run_id) or {}).get("fleet", {}).get("id") != fleet["id"]:
        raise paths.Refusal("there is a run %s of another fleet" % run_id)
    follow(system, run_id, 0, talk)


def _keep(system: System, folder: str, request: Dict[str, Any]) -> None:
    files.make_directories(system, wire.ROOT_STATE)
    files.make_directories(system, folder, 0o700)
    public = {key: value for key, value in request.items() if key != "secrets"}
    files.write_json(system, folder + "/request.json", public, 0o600)
    files.write(system, folder + "/journal.jsonl", b"", 0o600)


def _launch(system: System, run_id: str, secrets: Dict[str, str], agent: str) -> None:
    """Only the secrets go by credential: systemd limits its size, and the rest of the request is no secret."""
    files.make_directories(system, wire.ROOT_RUN)
    handed = "%s/%s.secrets" % (wire.ROOT_RUN, run_id)
    files.write(system, handed, json.dumps(secrets).encode(), 0o600)
    argv = ["systemd-run", "--quiet", "--collect", "--unit=" + paths.run_unit(run_id)]
    program = [sys.executable or "/usr/bin/python3", "-I", agent]
    for setting in ("Type=exec", "KillMode=mixed", "TimeoutStopSec=%d" % STOP_S, "OOMScoreAdjust=-900"):
        argv += ["-p", setting]
    argv += ["-p", "LoadCredential=secrets:" + system.path(handed)]
    argv += ["-p", "ExecStopPost=" + " ".join([*program, "recover", run_id])]
    argv += ["--", *program, "work", run_id]
    try:
        done = system.run(argv, timeout=START_S)
    except TooLong:
        # what is kept of the run stays: it may have begun, or begin yet, and then find no secrets and end
        raise Silent("systemd does not answer: the run was not seen to begin within %.0f s" % START_S) from None
    finally:
        files.remove(system, handed)
    if done.rc != 0:
        files.remove_tree(system, paths.run(run_id))
        raise paths.Refusal("systemd did not start the run: " + (" ".join(done.lines[-3:]) or "exit status %d" % done.rc))
