"""The planner alone: 1000 hosts with 8 GPUs each and 5000 deployments, all new and with nothing to do. In seconds of the
processor, since it waits for nothing; beside that what the json module alone takes to write what the planner gives and to read
what it gets, and a tenth of the fleet.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.measure import Row, finish, told, within
from deployer.app.collector import collector_waits
from deployer.plan.codec import to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from tests.plan.worlds import WorldMaker, deployment, host, probe

HOSTS, GPUS, DEPLOYMENTS = 1000, 8, 5000
GROWTH = 15.0  # ten times the fleet may cost 10 times as much, and a sort
LIMIT_S = 2.0
T = TypeVar("T")


def world_of(share: float) -> WorldMaker:
    hosts = [host(f"gpu-{number}") for number in range(int(HOSTS * share))]
    deployments = [deployment(f"model-{number}", engine={"gpus": 1}) for number in range(int(DEPLOYMENTS * share))]
    return WorldMaker(deployments, hosts, {h.name: probe(h.name, gpus=GPUS) for h in hosts})


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """As the app does it."""
    start = time.process_time()
    with collector_waits():
        made = call()
    return made, time.process_time() - start


def planned(maker: WorldMaker) -> tuple[Plan, float]:
    world = maker.world()
    return timed(lambda: make_plan(world))


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds. `written`: the first plan as JSON text; `read`: what the hosts noted for the second one, out of JSON text."""

    create: float
    written: float
    nothing: float
    read: float


def plan_twice(share: float) -> Taken:
    """The first plan, where all is to be made, and the next, where nothing is."""
    maker = world_of(share)
    first, create = planned(maker)
    if first.refusals or not first.changes:
        raise SystemExit(f"the benchmark's fleet was refused: {first.refusals[:3]}")
    told_first = to_json(first)
    _, written = timed(lambda: json.dumps(told_first))
    maker.done(first)
    second, nothing = planned(maker)
    if second.changes:
        raise SystemExit(f"the second plan should be empty, it has {len(second.changes)} changes: {second.changes[0]}")
    noted = [json.dumps(probe["records"]) for probe in maker.probes.values()]
    _, read = timed(lambda: [json.loads(one) for one in noted])
    return Taken(create, written, nothing, read)


def growth(what: str, whole: float, tenth: float) -> Row:
    ratio = whole / tenth
    return Row(what, whole, tenth, "a tenth of the fleet", ratio, f"grows at most {GROWTH:g} x", ratio <= GROWTH)


def main() -> int:
    tenth, whole = plan_twice(0.1), plan_twice(1)
    size = f"{HOSTS} hosts x {GPUS} GPUs, {DEPLOYMENTS} deployments"
    return finish(
        [
            within(f"plan from nothing, {size}", whole.create, LIMIT_S, whole.written, "json.dumps of that plan"),
            within(f"plan with nothing to do, {size}", whole.nothing, LIMIT_S, whole.read, "json.loads of the hosts' records"),
            growth("plan from nothing", whole.create, tenth.create),
            growth("plan with nothing to do", whole.nothing, tenth.nothing),
            told("one tenth: with nothing to do, against from nothing", tenth.nothing, tenth.create, "from nothing"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
