"""The planner alone: 1000 hosts with 8 GPUs each and 5000 deployments, all new and with nothing to do, against a tenth of it."""

import sys
import time

from benchmarks.measure import Row, finish, told
from deployer.app.collector import collector_waits
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.world import World
from tests.plan.worlds import WorldMaker, deployment, host, probe

HOSTS, GPUS, DEPLOYMENTS = 1000, 8, 5000
GROWTH = 15.0  # ten times the fleet may cost 10 times as much, and a sort


def world_of(share: float) -> WorldMaker:
    hosts = [host(f"gpu-{number}") for number in range(int(HOSTS * share))]
    deployments = [deployment(f"model-{number}", engine={"gpus": 1}) for number in range(int(DEPLOYMENTS * share))]
    return WorldMaker(deployments, hosts, {h.name: probe(h.name, gpus=GPUS) for h in hosts})


def timed(world: World) -> tuple[Plan, float]:
    """As the app does it."""
    start = time.perf_counter()
    with collector_waits():
        plan = make_plan(world)
    return plan, time.perf_counter() - start


def plan_twice(share: float) -> tuple[float, float]:
    """Seconds for the first plan, where all is to be made, and for the next, where nothing is."""
    maker = world_of(share)
    first, create = timed(maker.world())
    if first.refusals or not first.changes:
        raise SystemExit(f"the benchmark's fleet was refused: {first.refusals[:3]}")
    maker.done(first)
    second, nothing = timed(maker.world())
    if second.changes:
        raise SystemExit(f"the second plan should be empty, it has {len(second.changes)} changes: {second.changes[0]}")
    return create, nothing


def growth(what: str, whole: float, tenth: float) -> Row:
    ratio = whole / tenth
    return Row(what, whole, tenth, "a tenth of the fleet", ratio, f"grows at most {GROWTH:g} x", ratio <= GROWTH)


def main() -> int:
    tenth_create, tenth_nothing = plan_twice(0.1)
    create, nothing = plan_twice(1)
    size = f"{HOSTS} hosts x {GPUS} GPUs, {DEPLOYMENTS} deployments"
    return finish(
        [
            growth(f"plan from nothing, {size}", create, tenth_create),
            growth(f"plan with nothing to do, {size}", nothing, tenth_nothing),
            told("one tenth: with nothing to do, against from nothing", tenth_nothing, tenth_create, "from nothing"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
