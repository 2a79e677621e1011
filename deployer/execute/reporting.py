"""From what the hosts said to the report of an apply. Pure but for the clock. Called by apply and attach."""

import time
from collections.abc import Mapping
from typing import Any

from deployer.agent.wire import deployment_of
from deployer.errors import worst
from deployer.execute.events import LEFT, RESULT_CODES, Failure, HostReport, Report, leaves
from deployer.execute.follow import Follower
from deployer.plan.model import Plan

Results = Mapping[str, tuple[str, str | None]]

#: Exit codes that a host stands for when something was to be and is not: there is a Failure that says why.
_FAILED = (1, 5)


def make_report(
    run: str, plan: Plan, follower: Follower, requests: Mapping[str, Mapping[str, Any]], results: Results, began: float
) -> Report:
    """One HostReport per host of the plan; the exit code is the worst of them."""
    hosts: dict[str, HostReport] = {}
    failures: list[Failure] = []
    for name in {**plan.hosts, **follower.began}:
        hosts[name] = host = _host(name, follower, results)
        found = _failures(name, follower, requests.get(name, {}))
        if not found and RESULT_CODES.get(host.result, 1) in _FAILED:
            found = _of_no_step(host, follower, requests.get(name, {}))
        failures += found
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
    if error is not None:
        return HostReport(name, result, seconds, error.what, error.hint, transactions)
    words = said.get("message")
    if words is None and RESULT_CODES.get(result, 1) not in (0, *_FAILED) and not follower.conductor.told_to_stop(name):
        # no failure says why, and nobody here asked for it: a barrier that nobody opened, somebody else who stopped it
        told = (str(t["message"]) for t in transactions.values() if t.get("message"))
        words = next(told, "its run ended without a report" if result == "lost" else "it did not say why")
    advice = "deployer plan shows what it left, and undoes it" if result == "lost" else None
    return HostReport(name, result, seconds, words, advice, transactions)


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
    owners = _owners(request)
    found = []
    for transaction, end in said.items():
        step = end.get("step")
        if end.get("state") not in ("failed", "undone", *LEFT) or (end["state"] in ("undone", "kept") and step is None):
            continue  # without a failed step: a person stopped it, or it fell with another
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


def _of_no_step(host: HostReport, follower: Follower, request: Mapping[str, Any]) -> list[Failure]:
    """Why a host failed though none of its steps says so: its bytes could not be brought, its run did not get so far or broke
    in between, or the deployment failed elsewhere. Never empty.
    """
    known = host.name in follower.conductor.results
    if host.message:
        undone = not leaves(host.transactions.values()) if known else not follower.conductor.began(host.name)
        return [Failure(host.name, None, None, host.message, undone, hint=host.hint)]
    ends = {name: end for name, end in host.transactions.items() if end.get("state") != "done"}
    fell = {name: end for name, end in ends.items() if end.get("state") != "skipped"} or ends
    reasons: dict[str, list[str]] = {}
    for name, end in fell.items():
        reasons.setdefault(str(end.get("message") or "it failed without a word"), []).append(name)
    owners = _owners(request)
    return [
        Failure(
            host=host.name,
            deployment=owners.get(names[0]) if len(names) == 1 else None,
            step=None,
            message=message,
            undone=not leaves(fell[name] for name in names),
            cause=fell[names[0]].get("cause"),
            hint=fell[names[0]].get("hint"),
        )
        for message, names in reasons.items()
    ] or [Failure(host.name, None, None, "it failed without a word", undone=False)]


def _owners(request: Mapping[str, Any]) -> dict[str, str | None]:
    """Transaction → the deployment that it is about."""
    return {t["id"]: t.get("deployment") for t in request.get("transactions", ())}
