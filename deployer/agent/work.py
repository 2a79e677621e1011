"""`work RUN`: the run itself, inside its transient unit. Takes the lock, looks whether the plan is still true, runs, reports.

There is a report at the end whatever happens, short of a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets as random_source
import signal
import threading
from typing import Any, Dict, Optional

from deployer.agent import files, lock, paths, peers, runs, undo, wire
from deployer.agent.context import Shared, StepFailed
from deployer.agent.facts import state
from deployer.agent.fingerprint import moved
from deployer.agent.journal import Journal
from deployer.agent.probe import probe
from deployer.agent.roster import own_fleet
from deployer.agent.runner import Runner
from deployer.agent.steps import STEPS
from deployer.agent.steps.base import Step
from deployer.agent.system import Silent, System

SEEN_S = 10.0  # how long a run that removes the agent waits for its report to be read


def work_as_service(system: System, run_id: str) -> int:
    """With secrets from systemd's credentials; SIGTERM means: stop at the next step boundary."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    secrets: Dict[str, str] = {}
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        with open(folder + "/secrets", encoding="utf-8") as file:
            secrets = json.load(file)
    work(system, run_id, secrets, stopped)
    return 0


def work(
    system: System, run_id: str, secrets: Dict[str, str], stopped: threading.Event, steps: Optional[Dict[str, Step]] = None
) -> None:
    """The whole run; what it did is in its journal."""
    journal = Journal(system, run_id)
    request = runs.request(system, run_id)
    try:
        if request is None:
            journal.say("report", result="failed", transactions={}, message="the request is gone")
            return
        try:
            _locked(system, request, secrets, stopped, journal, steps or STEPS)
        except Exception as error:  # noqa: BLE001  (the last word must be a report)
            told = {"state": "kept", "message": undo.describe(system, error)}
            journal.say("report", result="failed", transactions={tx["id"]: told for tx in request.get("transactions") or []})
    finally:
        journal.close()


def _locked(
    system: System,
    request: Dict[str, Any],
    secrets: Dict[str, str],
    stopped: threading.Event,
    journal: Journal,
    steps: Dict[str, Step],
) -> None:
    held = lock.take(system, lock.words(system, request, "starting"))
    if held is None:
        holder = lock.holder(system) or {}
        journal.say("refused", reason="lock", holder=holder, detail=_holder_words(holder))
        _report_untouched(journal, request, "locked", _holder_words(holder))
        runs.settle(system, request["run"], "never begun")
        return
    try:
        stale = _moved(system, request)
        if stale is not None:
            journal.say("refused", reason="stale", detail=stale)
            _report_untouched(journal, request, "stale", stale)
            runs.settle(system, request["run"], "never begun")
            return
        shared = Shared(system, request, secrets)
        stop_file = system.path(paths.run(shared.run) + "/stop")
        shared.stopping = lambda: stopped.is_set() or os.path.exists(stop_file)
        told = {"deployments": runs.deployments(request), "rollouts": request.get("rollouts") or {}}
        journal.say("locked", **_keys(system, shared), **told)
        runner = Runner(shared, journal, steps, held)
        result = runner.run()
        _tidy(system, shared, runner)
        if not shared.remove_agent:
            held.release()  # who reads the report may begin the next run at once
        journal.say("report", result=result, transactions=runner.report())
        if shared.remove_agent and result == "done":
            _remove_agent(system, shared.run)
    finally:
        held.release()


def _holder_words(holder: Dict[str, Any]) -> str:
    return "%s is applying here since %s (run %s, now: %s)" % (
        holder.get("who") or "somebody",
        holder.get("since") or "an unknown time",
        holder.get("run") or "unknown",
        holder.get("doing") or "starting",
    )


def _report_untouched(journal: Journal, request: Dict[str, Any], result: str, message: str) -> None:
    told = {"state": "skipped", "message": message}
    journal.say("report", result=result, transactions={tx["id"]: told for tx in request.get("transactions") or []})


def _moved(system: System, request: Dict[str, Any]) -> Optional[str]:
    """What differs from the host that was planned on, or why nobody can tell, in words; None when nothing does."""
    asked = dict(request.get("probe") or {}, fleet=request["fleet"], gpus=False, verify=False)
    try:
        now = probe(system, asked, own_run=request["run"])
    except Silent as error:
        return "%s, so that nobody can tell whether it is as it was planned on" % error
    if now["name_conflict"]:
        return "another fleet, with the id %s, has the name %s on this host" % (now["name_conflict"], request["fleet"]["name"])
    planned = request.get("fingerprint")
    if planned and planned != now["fingerprint"]:
        return "since the plan was made, these changed: " + ", ".join(moved(planned, now["fingerprint"]))
    return None


def _keys(system: System, shared: Shared) -> Dict[str, Any]:
    """The fleet's header and its two keys, made when they are missing; and the certificate for other gateways where this run
    deals with them. Returns what the other hosts must know.
    """
    fleet = shared.fleet
    own_fleet(system, fleet)
    for path in (paths.secret_key(fleet), paths.probe_key(fleet)):
        if not files.read(system, path):
            files.write(system, path, random_source.token_hex(32).encode() + b"\n", 0o600)
    steps = [step for transaction in shared.request.get("transactions") or [] for step in transaction["steps"]]
    if any(step["kind"] == "gateway.peers" for step in steps):
        with contextlib.suppress(StepFailed):  # the step itself says it
            return {"certificate": peers.make(system, fleet, str(shared.request.get("host")))}
    return {}


def _tidy(system: System, shared: Shared, runner: Runner) -> None:
    """What only this run needed. Blobs stay after a failure, for the next try; the next run that ends well takes them all:
    nobody else can be waiting for one while it holds the host's lock.
    """
    with contextlib.suppress(OSError):  # on a full disk the report still has to say what became of each transaction
        if all(tx.state == "done" for tx in runner.transactions):
            for name in state.listing(system, wire.ROOT_BLOBS):
                files.remove(system, "%s/%s" % (wire.ROOT_BLOBS, name))
        runs.forget_old(system)
        if not runner.leaves_something:
            runs.settle(system, shared.run, "ended")


def _remove_agent(system: System, run_id: str) -> None:
    """After the last fleet: everything of ours, once the report was read."""
    end = system.clock() + SEEN_S
    seen = system.path(paths.run(run_id) + "/seen")
    while not os.path.exists(seen) and system.clock() < end:
        system.pause(0.05)
    places = (wire.ROOT_CACHE, wire.ROOT_CACHE_PRIVATE, wire.ROOT_LOGS, wire.ROOT_LOGS_PRIVATE)
    for tree in (wire.ROOT_STATE, *places, wire.ROOT_ETC, os.path.dirname(wire.ROOT_ENGINES), wire.ROOT_RUN):
        files.remove_what_can_be(system, tree)
