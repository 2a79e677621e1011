"""`deployer status`: how deployments and hosts are."""

import argparse
from datetime import datetime

from deployer.app.times import ago, clock
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.execute.standing import DeploymentState, HostState, ReplicaState, Status
from deployer.plan.costs import words

EXAMPLES = ("deployer status", "deployer status chat", "deployer status --json | jq .deployments")

_MARKS = {
    "deployed": ("●", "32"), "degraded": ("◐", "33"), "starting": ("◐", "36"),
    "downloading": ("◐", "36"), "optimizing": ("◐", "36"),
    "pending": ("○", "2"), "stopped": ("○", "2"), "failed": ("✗", "31"), "unknown": ("?", "33"),
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.names(parser)
    shared.filters(parser)
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_fleet(args) as fleet:
        fleet.known(hosts=args.host, tags=args.tag)
        status = fleet.status(args.names, tags=args.tag, observed=fleet.probe(args.host))
    if args.json:
        console.emit(status.json())
    else:
        console.out(render(status))
    return 6 if any(not host.reachable for host in status.hosts) else 0


def render(status: Status) -> str:
    blocks = [
        _deployments(status) if status.deployments else "no deployments yet: write deployments/NAME.yaml, then deployer plan"
    ]
    blocks += [line for deployment in status.deployments for line in _notes(deployment)]
    blocks += [line for host in status.hosts for line in _host_notes(host)]
    blocks += _idle(status)
    if not status.hosts:
        blocks.append("no hosts yet: write hosts/NAME.yaml, or try deployer lab up 1")
    return "\n".join(blocks)


def _deployments(status: Status) -> str:
    priced = status.idle is not None
    rows: list[tuple[str, ...]] = [("NAME", "STATE", "REV", "REPLICAS", "ENDPOINT", *(["A MONTH"] if priced else []), "WHERE")]
    for one in status.deployments:
        running = sum(1 for replica in one.replicas if replica.state == "deployed")
        where = " ".join(_where(replica, status.at) for replica in one.replicas if replica.units) or "–"
        endpoint = one.endpoint if one.endpoint and one.state in ("deployed", "degraded", "starting") else "–"
        revision = str(one.revision) if one.revision else "–"
        cost = [words(one.cost) if one.cost else "–"] if priced else []
        rows.append((one.name, _state(one.state), revision, f"{running}/{len(one.replicas)}", endpoint, *cost, where))
    text = console.table(rows)
    if not console.color():
        return text
    for state, (_, code) in _MARKS.items():
        text = text.replace(_state(state), f"\033[{code}m{_state(state)}\033[0m")
    return text


def _idle(status: Status) -> list[str]:
    if status.idle is None or not status.idle.hosts:
        return []
    where = ", ".join(f"{number} on {host}" for host, number in status.idle.hosts.items())
    return [f"idle GPUs: {words(status.idle.cost)} a month ({where})"]


def _state(state: str) -> str:
    return f"{_MARKS[state][0]} {state}" if console.unicode() else state


def _where(replica: ReplicaState, at: str) -> str:
    unit = replica.units[0]
    doing = f" ({_start(replica, at)})" if replica.phase else ""
    return f"{unit.host}:{unit.port}{doing}"


def _start(replica: ReplicaState, at: str) -> str:
    """ "loading shards 5 of 15, 0:37 of about 0:52". One that serves meanwhile says only that a new one comes."""
    if replica.state not in ("starting", "optimizing"):
        return f"a new one: {replica.phase}"
    about = f"about {clock(replica.expected_s)}" if replica.expected_s else ""
    seconds = _between(replica.since, at)
    took = clock(seconds) if seconds is not None else ""
    said = f"{took} of {about}" if took and about else took or about
    return f"{replica.phase}, {said}" if said else str(replica.phase)


def _between(since: str | None, at: str) -> float | None:
    try:
        return max(0.0, (datetime.fromisoformat(at) - datetime.fromisoformat(str(since))).total_seconds())
    except (ValueError, TypeError):
        return None


def _notes(one: DeploymentState) -> list[str]:
    found = []
    if one.orphan:
        found.append(f"{one.name}: in no file any more; deployer prune removes it")
    if one.hold:
        why = f" ({one.hold['why']})" if one.hold.get("why") else ""
        to = f" to revision {one.hold['revision']}" if one.hold.get("revision") else ""
        found.append(f"{one.name}: {one.hold['kind']}{to} by {one.hold['who']}, {ago(one.hold['at'])}{why}")
    if one.canary:
        share = f"{one.canary['share']} of the requests go to {one.name}/{one.canary['slot']}"
        since = f"by {one.canary['who']}, {ago(one.canary['at'])}: {share}, the others to revision {one.canary['base']}"
        found.append(f"{one.name}: canary {since}   deployer promote {one.name}, or deployer revert {one.name}")
    if one.reason:
        found.append(f"{one.name}: {one.reason}")
    found += [
        f"{one.name}/{r.slot}: {r.reason}" for r in one.replicas if r.reason and r.reason != one.reason and r.state != "pending"
    ]
    if one.failure:
        cause = one.failure.get("cause") or "see the log"
        found.append(
            f"{one.name}: the last apply failed {ago(one.failure.get('at'))}: {cause}   deployer logs {one.name} --failure"
        )
    return found


def _held(host: HostState) -> str:
    if host.hold is None:
        return f"{host.name}: {host.state} by its file"
    why = f" ({host.hold['why']})" if host.hold.get("why") else ""
    until = f", until {host.hold['until']}" if host.hold.get("until") else ""
    return f"{host.name}: {host.state} by {host.hold['who']}, {ago(host.hold['at'])}{until}{why}"


def _host_notes(host: HostState) -> list[str]:
    if not host.reachable:
        return [f"{host.name}: unreachable: {host.error}", *([f"    {host.hint}"] if host.hint else [])]
    found = [_held(host)] if host.state != "active" else []
    if host.lock:
        found.append(
            f"{host.name}: locked by {host.lock.get('who')}, {ago(host.lock.get('since'))}: {host.lock.get('doing') or 'apply'}"
        )
    for run in host.unfinished:
        if run.get("alive"):
            found.append(f"{host.name}: an apply by {run.get('who')} is running: deployer attach")
        else:
            found.append(f"{host.name}: an apply by {run.get('who')} was not finished: deployer plan undoes or finishes it")
    return found
