"""What engines on the hosts say of options that a plan brings: the agent's `judge`, on many hosts at once, for a bounded time.
Called by app.judging.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from deployer.agent.wire import Judged
from deployer.errors import DeployerError
from deployer.execute.fanout import fan_out
from deployer.execute.pool import Pool
from deployer.plan.judging import Answer, Question, State
from deployer.spec.models import FleetSpec

TIMEOUT_S = 30.0  # an engine takes six to eleven seconds
LATE_S = 5.0  # for the way there and back
HOSTS = 64  # at once


def judge_hosts(
    pool: Pool, fleet: FleetSpec, wanted: Mapping[str, Sequence[Question]], *, timeout_s: float = TIMEOUT_S
) -> dict[str, Answer]:
    """By key. What was not answered in time, or could not be asked, is in it as "late": data, not an exception."""
    end = time.monotonic() + timeout_s
    late = f"no answer in {timeout_s:g} s"
    said = {host: {q.key: Answer(host, "late", late) for q in mine} for host, mine in wanted.items()}

    def one(name: str) -> dict[str, Answer]:
        try:
            for answer, key in _asked(pool, name, fleet, wanted[name], end - time.monotonic()):
                said[name][key] = answer
        except DeployerError as error:
            pool.drop(name)
            for key in [key for key, answer in said[name].items() if answer.state == "late"]:
                said[name][key] = Answer(name, "late", error.what)
        return said[name]

    def gone(name: str) -> dict[str, Answer]:
        pool.drop(name)
        return dict(said[name])  # what it has answered so far

    found = fan_out(wanted, one, limit=HOSTS, deadline_s=timeout_s + LATE_S, late=gone)
    return {key: answer for answers in found.values() for key, answer in answers.items()}


def _asked(pool: Pool, name: str, fleet: FleetSpec, mine: Sequence[Question], left: float) -> Iterator[tuple[Answer, str]]:
    """Answers with their keys as they come; none when others took all the time."""
    if left < 1.0:
        return
    request: dict[str, Any] = {
        "fleet": {"id": fleet.id, "name": fleet.name},
        "questions": [{**q.told, "key": q.key} for q in mine],
        "timeout_s": left,
    }
    channel = pool.connection(name).open("judge", request)
    try:
        for line in channel.lines():
            if line.get("type") == "judged":
                answer = cast(Judged, line)
                yield Answer(name, cast(State, answer["state"]), answer["said"]), answer["key"]
    finally:
        channel.close()
