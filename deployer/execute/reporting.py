"""From what the hosts said to the report of an apply. Pure but for the clock. Called by apply and attach."""

import time
from collections.abc import Mapping
from typing import Any

from deployer.agent.wire import deployment_of
from deployer.errors import worst
from deployer.execute.events import RESULT_CODES, Failure, HostReport, Report
from deployer.execute.follow import Follower
from deployer.plan.model import Plan

Results = Mapping[str, tuple[str, str | None]]


def make_report(
    run: str, plan: Plan, follower: Follower, requests: Mapping[str, Mapping[str, Any]], results: Results, began: float
) -> Report:
    """One HostReport per host of the plan; the exit code is the worst of them."""
    hosts: dict[str, HostReport] = {}
    failures: list[Failure] = []
    for name in {**plan.hosts, **follower.began}:
        hosts[name] = _host(name, follower, results)
        failures += _failures(name, follower, requests.get(name, {}))
    codes = [RESULT_CODES.get(host.result, 1) for host in hosts.values()]
    notes = tuple(f"{host}  {deployment_of(name) or name}: {text}" for host, name, text in follower.conductor.warnings)
    return Report(run, plan.plan_id, hosts, tuple(failures), worst(codes), time.monotonic() - began, notes)


def _host(name: str, follower: Follower, results: Results) -> HostReport:
    seconds = follower.ended.get(name, 0.0) - follower.began.get(name, 0.0) if name in follower.ended else 0.0
    if name in results:
        result, message = results[name]
        return HostReport(name, result, seconds, message)
    if name in follower.left:
        hint = "deployer attach follows it; the next plan shows what it left"
        return HostReport(name, "detached", seconds, "left to the host", hint)
    said = follower.conductor.results.get(name)
    error = follower.errors.get(name)
    refused = follower.conductor.refused.get(name)
    if refused is not None:
        locked = refused.get("reason") == "lock"
        hint = "deployer attach follows it; or wait" if locked else "make a new plan: deployer plan"
        return HostReport(name, _refusal(refused), seconds, _refused_message(refused), hint)
    if said is None:
        if error is None:
            return HostReport(name, "unchanged")
        result = "lost" if error.exit_code == 6 else "failed"
        return HostReport(name, result, seconds, error.what, error.hint)
    result = "failed" if error is not None and said.get("result") in ("stopped", "done") else str(said.get("result"))
    transactions = said.get("transactions", {})
    if result == "lost" and error is None:
        message = next((str(t["message"]) for t in transactions.values() if t.get("message")), "its run ended without a report")
        return HostReport(name, result, seconds, message, "deployer plan shows what it left, and undoes it", transactions)
    message = error.what if error is not None else None
    return HostReport(name, result, seconds, message, error.hint if error else None, transactions)


def _refusal(line: Mapping[str, Any]) -> str:
    return "locked" if line.get("reason") == "lock" else "stale"


def _refused_message(line: Mapping[str, Any]) -> str:
    said = line.get("detail")
    return (
        str(said)
        if said
        else "somebody else is applying here"
        if line.get("reason") == "lock"
        else "it is not as it was planned on"
    )


def _failures(name: str, follower: Follower, request: Mapping[str, Any]) -> list[Failure]:
    said = follower.conductor.results.get(name, {}).get("transactions", {})
    steps = {t["id"]: {s["id"]: s.get("label") for s in t["steps"]} for t in request.get("transactions", ())}
    owners = {t["id"]: t.get("deployment") for t in request.get("transactions", ())}
    found = []
    for transaction, end in said.items():
        step = end.get("step")
        if end.get("state") not in ("failed", "undone", "undo-failed") or (end["state"] == "undone" and step is None):
            continue  # undone without a failed step: a person stopped it
        label = steps.get(transaction, {}).get(step) or step or transaction
        found.append(
            Failure(
                host=name,
                deployment=owners.get(transaction),
                step=label,
                message=end.get("message") or "it failed without a word",
                undone=end.get("state") == "undone",
                cause=end.get("cause"),
                hint=end.get("hint"),
                log=tuple(end.get("log") or ()),
            )
        )
    return found
