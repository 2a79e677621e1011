"""Options of engines that a plan brings, to be judged by the engine itself on a host where its environment and the model are
already (agent/judge.py), and what its answers make of the plan. What cannot be asked now is asked by the apply before it stops
anything. Called by app.judging; rounds has the step. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from deployer.plan.model import Change, Notice, Plan, Refusal
from deployer.plan.record import resource_from
from deployer.spec.source import Source
from deployer.state.observed import Observed, Reached
from deployer.state.resources import Kind

State = Literal["well", "wrong", "unknown", "late"]
_LATER = "apply asks before it stops anything"
_UNTOLD = "apply asks again before it stops anything; what cannot be told then, the start will"


@dataclass(frozen=True, slots=True)
class Question:
    """`told` goes to the agent; `changes` are those that bring these options, on `hosts` that could answer."""

    key: str
    told: Mapping[str, Any]
    changes: tuple[Change, ...]
    hosts: tuple[str, ...]

    @property
    def deployments(self) -> tuple[str, ...]:
        return tuple(sorted({c.deployment for c in self.changes if c.deployment}))


@dataclass(frozen=True, slots=True)
class Answer:
    """`said`: the engine's words when it is "wrong", else why nothing could be told."""

    host: str
    state: State
    said: str = ""


def told(change: Change) -> Mapping[str, Any] | None:
    """What the engine is told about a replica that gets a process; None where there is nothing to ask."""
    after = change.after
    return after.payload.get("options") if after is not None and after.runs and "create" in change.actions else None


def changed(change: Change, said: str = "") -> Source | None:
    """The first option that is new or another one, of those that `said` names when it names one; else the engine."""
    found = [d for d in change.deltas if d.restarts and d.source is not None]
    words = said.replace("-", "_")
    named = [d for d in found if d.name.rpartition(".")[2].replace("-", "_") in words]
    return next((d.source for d in (*named, *found)), change.source)


def questions(plan: Plan, observed: Observed) -> tuple[Question, ...]:
    """One for all replicas with the same options, and none for options that run already anywhere."""
    brought = {(c.host, c.address) for c in plan.changes if c.kind in (Kind.ENVIRONMENT, Kind.MODEL) and c.after is not None}
    lacking = {(r.host, r.deployment) for r in plan.refusals if r.code == "host-path"}
    found: dict[str, list[Change]] = {}
    for change in plan.changes:
        asked = told(change) if change.kind is Kind.REPLICA else None
        if asked is None or change.after is None or (change.host, change.deployment) in lacking:
            continue
        if not any((change.host, need) in brought for need in change.after.needs):
            found.setdefault(asked["key"], []).append(change)
    for key in _running(observed) if found else ():
        found.pop(key, None)
    return tuple(_question(key, changes) for key, changes in sorted(found.items()))


def spread(asked: Iterable[Question]) -> dict[str, tuple[Question, ...]]:
    """By host: each is asked once in the fleet, where the fewest others are."""
    found: dict[str, list[Question]] = {}
    load: Counter[str] = Counter()
    for question in sorted(asked, key=lambda q: (len(q.hosts), q.key)):
        host = min(question.hosts, key=lambda name: (load[name], name))
        load[host] += 1
        found.setdefault(host, []).append(question)
    return {host: tuple(mine) for host, mine in sorted(found.items())}


def with_answers(plan: Plan, asked: Sequence[Question], answers: Mapping[str, Answer]) -> Plan:
    """The same changes: what an engine refuses is a refusal, what nobody could tell is said. `answers` by key."""
    refusals, notices = list(plan.refusals), list(plan.notices)
    judged = {host: set(keys) for host, keys in plan.judged.items()}
    for question in asked:
        answer = answers.get(question.key)
        if answer is not None and answer.state == "well":
            judged.setdefault(answer.host, set()).add(question.key)
            continue
        for name in question.deployments:
            change = _change_of(question, name, answer)
            if answer is not None and answer.state == "wrong":
                refusals.append(_refusal(name, change, answer))
            else:
                notices.append(_notice(name, change, answer))
    keys = {host: tuple(sorted(mine)) for host, mine in sorted(judged.items())}
    return replace(plan, refusals=tuple(refusals), notices=tuple(notices), judged=keys)


def _question(key: str, changes: Sequence[Change]) -> Question:
    asked = told(changes[0])
    assert asked is not None
    return Question(key, asked, tuple(changes), tuple(sorted({c.host for c in changes})))


def _running(observed: Observed) -> set[str]:
    """Keys of the options of all replicas that the hosts' records want to run."""
    records = (r for host in observed.values() if isinstance(host, Reached) for r in host.probe.get("records", {}).values())
    resources = (one for record in records for one in record.get("resources", ()) if one.get("payload", {}).get("options"))
    return {one["payload"]["options"]["key"] for one in resources if resource_from(one).runs}


def _change_of(question: Question, deployment: str, answer: Answer | None) -> Change:
    mine = [c for c in question.changes if c.deployment == deployment]
    return next((c for c in mine if answer is not None and c.host == answer.host), mine[0])


def _refusal(name: str, change: Change, answer: Answer) -> Refusal:
    what = f"{name}: the engine refuses its options: {answer.said}"
    why = f"{answer.host} was asked, where its environment and the model are"
    hint = "correct it there; nothing was touched"
    return Refusal("options", what, (why,), hint, answer.host, name, changed(change, answer.said))


def _notice(name: str, change: Change, answer: Answer | None) -> Notice:
    where = answer.host if answer is not None else change.host
    if answer is not None and answer.state == "unknown":
        what = f"{name}: whether its engine takes these options could not be told on {where}: {answer.said}"
        return Notice("options", what, _UNTOLD, where, name, changed(change))
    why = answer.said if answer is not None and answer.said else "no answer"
    what = f"{name}: its options are checked at apply; {where} could not say yet ({why})"
    return Notice("options", what, _LATER, where, name, changed(change))
