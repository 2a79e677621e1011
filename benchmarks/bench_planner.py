"""The planner alone: 1000 hosts with 8 GPUs each and 5000 deployments of vLLM, all new and with nothing to do. Of each its memory
is computed for the GPUs that there are: seven published models, each with eight settings. In seconds of the processor, since it
waits for nothing, the least of three rounds, since a neighbour only ever makes it longer; beside that what the json module alone
takes to write what the planner gives and to read what it gets, and a tenth of the fleet.
"""

import gc
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from benchmarks.measure import Row, finish, told, within
from deployer.app.collector import collector_waits
from deployer.engines.vllm import VLLM
from deployer.engines.vllm_settings import VllmSettings
from deployer.plan.codec import to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec, EndpointSpec, EngineChoice, ModelSpec
from deployer.state.canonical import text_digest
from deployer.state.locked import Locked
from tests.plan import models
from tests.plan.worlds import WorldMaker, host, locked, locked_with, probe

HOSTS, GPUS, DEPLOYMENTS = 1000, 8, 5000
GROWTH = 15.0  # ten times the fleet may cost 10 times as much, and a sort
LIMIT_S = 2.0
ROUNDS = 3
MODELS = {
    "llama-3-8b": models.LLAMA_3_8B,
    "llama-2-7b": models.LLAMA_2_7B,
    "qwen3-30b-a3b": models.QWEN3_30B_A3B,
    "qwen3-coder-30b-fp8": models.QWEN3_CODER_30B_FP8,
    "r1-distill-qwen-14b": models.R1_DISTILL_QWEN_14B,
    "deepseek-v2-lite": models.DEEPSEEK_V2_LITE,
    "gpt-oss-20b": models.GPT_OSS_20B,
}
CONTEXTS, SHARES = (4096, 8192, 16384, 32768), (0.9, 0.92)
T = TypeVar("T")


def deployments(number: int) -> list[DeploymentSpec]:
    asked = [(m, c, s) for m in MODELS for c in CONTEXTS for s in SHARES]
    return [_deployment(f"model-{n}", *asked[n % len(asked)]) for n in range(number)]


def _deployment(name: str, model: str, context: int, share: float) -> DeploymentSpec:
    settings = VllmSettings(max_model_len=context if model != "llama-2-7b" else 4096, gpu_memory_utilization=share)
    return DeploymentSpec(
        name=name,
        model=ModelSpec(path=f"models/{model}"),
        endpoint=EndpointSpec(open=True),
        engine=EngineChoice(name="vllm", settings=settings),
    )


def lock_of(spec: DeploymentSpec) -> Locked:
    (need,), tiny = VLLM.environments(spec), locked().models["path:models/tiny"]
    found = [
        replace(tiny, key=f"path:models/{name}", name=f"models/{name}", digest=text_digest(name), facts=facts)
        for name, facts in MODELS.items()
    ]
    return locked_with(need, found)


@dataclass(frozen=True, slots=True)
class Fleet:
    maker: WorldMaker
    lock: Locked

    def world(self) -> World:
        return self.maker.world(engines={"vllm": VLLM}, locked=self.lock)


def fleet_of(share: float) -> Fleet:
    hosts, wanted = [host(f"gpu-{number}") for number in range(int(HOSTS * share))], deployments(int(DEPLOYMENTS * share))
    packages = dict.fromkeys(VLLM.packages(wanted[0]), "1")
    probes = {h.name: probe(h.name, gpus=GPUS, packages=packages) for h in hosts}
    return Fleet(WorldMaker(wanted, hosts, probes), lock_of(wanted[0]))


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """As the app does it."""
    least = math.inf
    for _ in range(ROUNDS):
        made = None  # to free what was made before takes time too, and no plan's
        gc.collect()
        start = time.process_time()
        with collector_waits():
            made = call()
        least = min(least, time.process_time() - start)
    assert made is not None
    return made, least


def planned(fleet: Fleet) -> tuple[Plan, float]:
    world = fleet.world()
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
    fleet = fleet_of(share)
    first, create = planned(fleet)
    if first.refusals or not first.changes:
        raise SystemExit(f"the benchmark's fleet was refused: {first.refusals[:3]}")
    told_first = to_json(first)
    _, written = timed(lambda: json.dumps(told_first))
    fleet.maker.done(first)
    second, nothing = planned(fleet)
    if second.changes:
        raise SystemExit(f"the second plan should be empty, it has {len(second.changes)} changes: {second.changes[0]}")
    noted = [json.dumps(probe["records"]) for probe in fleet.maker.probes.values()]
    _, read = timed(lambda: [json.loads(one) for one in noted])
    return Taken(create, written, nothing, read)


def growth(what: str, whole: float, tenth: float) -> Row:
    ratio = whole / tenth
    return Row(what, whole, tenth, "a tenth of the fleet", ratio, f"grows at most {GROWTH:g} x", ratio <= GROWTH)


def main() -> int:
    tenth, whole = plan_twice(0.1), plan_twice(1)
    size = f"{HOSTS} hosts x {GPUS} GPUs, {DEPLOYMENTS} vLLMs"
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
