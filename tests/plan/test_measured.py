"""What an engine said and held when it was started so before, in the next plan: "measured" instead of "computed"."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.plan.fit import Gpu, Question, Settings
from deployer.plan.fit.measured import key
from deployer.plan.make import make_plan
from deployer.plan.measured import MEMORY
from deployer.plan.text import render
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import ModelFacts
from deployer.state.observed import Reached
from deployer.state.resources import Kind
from tests.plan import models
from tests.plan.test_fitting import chat, of_fit, world
from tests.plan.worlds import GIB


def started(made: World, **noted: Any) -> World:
    """The same world after a start: the host has noted what the engine said of it."""
    (asked,) = (c.data[MEMORY] for c in make_plan(made).changes if c.kind is Kind.REPLICA)
    told = {name: value for name, value in asked.items() if name != "gpus"}
    reached = made.observed["h1"]
    assert isinstance(reached, Reached)
    starts = {"chat": [{"at": "2026-11-21T10:00:00.000Z", "start_s": 9.0, "memory": {**told, **noted}}]}
    probed: Any = {**reached.probe, "starts": starts}
    return replace(made, observed={"h1": Reached("h1", probed)})


def gib(size: float) -> int:
    return int(size * GIB)


SAID = {"weights": gib(14.99), "cache": gib(5.0), "tokens": 40960, "concurrency": 5.0}


def test_what_an_engine_said_at_its_start_counts_for_the_next_plan() -> None:
    spec = chat(max_model_len=8192)
    before = make_plan(world(models.LLAMA_3_8B, 24, spec, explain=("chat",)))
    after = make_plan(started(world(models.LLAMA_3_8B, 24, spec, explain=("chat",)), **SAID))
    assert "(computed)" in render(before)
    text = render(after)
    assert "weights 14.99 + cache 1.00 + overhead 2.09 = 18.08 of 22.08 GiB; 5 full requests at once (measured)" in text
    assert "at the start of 2026-11-21 10:00 on h1: 40960 tokens of cache in 5.00 GiB; computed 40960, 0.0 % off" in text
    assert before.plan_id == after.plan_id


def test_it_counts_for_another_context_too_and_then_a_misfit_is_certain() -> None:
    """50000 tokens may fit by what is computed; by what was measured, 40960 are all there is room for."""
    measured = started(world(models.LLAMA_3_8B, 24, chat(max_model_len=8192)), **SAID).observed
    made = replace(world(models.LLAMA_3_8B, 24, chat(max_model_len=50000)), observed=measured)
    (text,), notices = of_fit(make_plan(made))
    assert notices == []
    assert "would fit: max_model_len 40960" in text


def test_a_gpu_that_is_known_to_hold_it_is_taken_while_a_larger_one_is_busy() -> None:
    """50000 tokens: what is computed leaves out the smaller GPU, and a start has shown that it does."""
    spec = chat(max_model_len=50000)
    small = world(models.LLAMA_3_8B, 24, spec)
    roomy = started(small, **{**SAID, "cache": gib(6.8), "tokens": 55000})
    for observed, placed in ((small.observed, []), (roomy.observed, ["GPU-0"])):
        found = observed["h1"]
        assert isinstance(found, Reached)
        gpus = [
            {**g, "memory_total": gib(size), "uuid": f"GPU-{n}"}
            for n, (g, size) in enumerate(zip(found.probe["gpus"], (24, 80), strict=True))
        ]
        theirs = [{"id": "other", "name": "theirs", "ports": [], "gpus": ["GPU-1"]}]
        probed: Any = {**found.probe, "gpus": gpus, "other_fleets": theirs}
        plan = make_plan(replace(small, observed={"h1": Reached("h1", probed)}))
        assert [r.code for r in plan.refusals] == ([] if placed else ["placement"])
        assert [gpu for place in plan.roster["slots"].get("chat", {}).values() for gpu in place["gpus"]] == placed


@pytest.mark.parametrize(
    "other",
    [
        chat(max_model_len=8192, kv_cache_dtype="fp8"),
        chat(max_model_len=8192, version="0.33.0"),
        chat(max_model_len=8192, args={"max_num_batched_tokens": 4096}),
    ],
)
def test_it_does_not_count_for_what_is_started_otherwise(other: DeploymentSpec) -> None:
    measured = started(world(models.LLAMA_3_8B, 24, chat(max_model_len=8192)), **SAID).observed
    made = world(models.LLAMA_3_8B, 24, other, explain=("chat",))
    assert "(computed)" in render(make_plan(replace(made, observed=measured)))


@pytest.mark.parametrize(
    "noted",
    [{}, {"weights": "x", "cache": None}, {"weights": -1, "cache": True}, {"weights": gib(30), "cache": gib(5)}],
)
def test_a_note_that_makes_no_sense_changes_nothing(noted: dict[str, Any]) -> None:
    made = started(world(models.LLAMA_3_8B, 24, chat(max_model_len=8192), explain=("chat",)), **noted)
    assert "(computed)" in render(make_plan(made))


def test_a_vllm_on_a_cpu_is_held_against_the_memory_of_its_host() -> None:
    spec = chat(variant="cpu", max_model_len=8192)
    made = world(models.LLAMA_3_8B, 24, spec, explain=("chat",))
    found = replace(made.observed["h1"], probe={**made.observed["h1"].probe, "memory_total": gib(64)})  # type: ignore[union-attr]
    text = render(make_plan(replace(made, observed={"h1": found})))
    assert "chat/0 on h1 (64 GiB): weights 14.99 + cache 1.00 + overhead " in text
    small = replace(found, probe={**found.probe, "memory_total": gib(8)})  # type: ignore[call-arg]
    refused, (notice,) = of_fit(make_plan(replace(world(models.LLAMA_3_8B, 24, spec), observed={"h1": small})))
    assert refused == []
    assert notice.startswith("chat/0 may not fit on h1 (8 GiB): ")


def test_what_hosts_noted_of_earlier_versions_keeps_its_key() -> None:
    question = Question(ModelFacts(), Settings(context=8192, tensor_parallel=2), Gpu(24 * GIB, "NVIDIA L4"))
    assert key("vllm", "0.32.0", "m" * 8, question) == "33e511572f0c21a4"
    pooling = question.with_settings(question.settings._replace(pooling=True))
    assert key("vllm", "0.32.0", "m" * 8, pooling) != "33e511572f0c21a4"
