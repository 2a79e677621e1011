"""Fits in a plan: refused when certain, noticed when computed, explained when asked; nothing is said of what is not known."""

import re
from dataclasses import replace
from typing import Any

import pytest

from deployer.engines.memory import memory_settings
from deployer.engines.vllm import VLLM
from deployer.engines.vllm_settings import VllmSettings
from deployer.plan import fit, fitted
from deployer.plan.codec import from_json, to_json
from deployer.plan.identity import plan_id
from deployer.plan.make import make_plan
from deployer.plan.markdown import escaped
from deployer.plan.markdown import render as markdown
from deployer.plan.model import Change, Plan
from deployer.plan.steps import transactions
from deployer.plan.text import render
from deployer.plan.world import Options, World
from deployer.spec.models import DeploymentSpec, EndpointSpec, EngineChoice, ModelSpec, Resources
from deployer.state.locked import ModelFacts
from deployer.state.observed import Reached
from deployer.state.resources import Kind
from tests.plan import models
from tests.plan.worlds import GIB, WorldMaker, as_saved, locked, locked_with, probe


def chat(**settings: Any) -> DeploymentSpec:
    return DeploymentSpec(
        name="chat",
        model=ModelSpec(path="models/tiny"),
        endpoint=EndpointSpec(open=True),
        engine=EngineChoice(name="vllm", settings=VllmSettings(**settings)),
    )


def world(facts: ModelFacts, memory: float, spec: DeploymentSpec, explain: tuple[str, ...] = ()) -> World:
    found = probe(gpus=2)
    for gpu in found["gpus"]:
        gpu["memory_total"] = int(memory * GIB)
    tiny = replace(locked().models["path:models/tiny"], facts=facts)
    found["packages"] = dict.fromkeys(VLLM.packages(spec), "1")
    made = WorldMaker(deployments=[spec], probes={"h1": found})
    lock = locked_with(VLLM.environments(spec)[0], [tiny])
    return made.world(engines={"vllm": VLLM}, locked=lock, options=Options(explain=explain))


def of_fit(plan: Plan) -> tuple[list[str], list[str]]:
    refused = [r for r in plan.refusals if r.code == "fit"]
    assert not [r for r in plan.refusals if r.code != "fit"], plan.refusals
    return [render(plan, unicode=True)] if refused else [], [n.what for n in plan.notices if n.code == "fit"]


def test_what_fits_is_not_mentioned() -> None:
    assert of_fit(make_plan(world(models.LLAMA_3_8B, 80, chat(max_model_len=8192)))) == ([], [])


def test_weights_larger_than_the_gpu_are_refused_with_what_would_fit() -> None:
    (text,), notices = of_fit(make_plan(world(models.LLAMA_3_70B_W8A8, 24, chat(max_model_len=8192))))
    assert "✗ chat does not fit on h1 GPU 0 (24 GiB)" in text
    assert "weights 67.70 GiB are more than the 24.00 GiB of the GPU" in text
    assert "would fit: tensor_parallel 4 · or a GPU of " in text
    assert "deployments/chat.yaml:" in text
    assert notices == []


def test_what_does_not_fit_by_more_than_the_overheads_doubt_is_refused_and_its_context_passes() -> None:
    (text,), notices = of_fit(make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=131072))))
    assert notices == []
    assert "✗ chat does not fit on h1 GPU 0 (24 GiB)" in text
    assert "weights 14.99 + cache for one request of 131072 tokens 16.00" in text
    found = re.search(r"would fit: max_model_len (\d+) .*tensor_parallel 2 · or a GPU of 36 GiB", text)
    assert found is not None, text
    assert of_fit(make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=int(found[1]))))) == ([], [])


def test_what_may_not_fit_is_a_notice_and_no_refusal() -> None:
    plan = make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=50000)))
    refused, (notice,) = of_fit(plan)
    assert refused == []
    assert notice.startswith(
        "chat/0 may not fit on h1 GPU 0 (24 GiB): weights 14.99 + cache for one request of 50000 tokens 6.10"
    )
    assert notice.endswith("(computed)")
    hint = next(n.hint for n in plan.notices if n.code == "fit")
    assert hint is not None
    assert hint.startswith("would fit: max_model_len ")


@pytest.mark.parametrize(
    ("facts", "settings"),
    [
        (replace(models.LLAMA_3_70B_W8A8, cache=None), {}),
        (replace(models.LLAMA_3_70B_W8A8, model_type="zebra", cache=models.facts("zebra").cache), {}),
        (models.LLAMA_3_70B_W8A8, {"args": {"cpu_offload_gb": 60}}),
    ],
)
def test_what_is_not_known_is_said_and_neither_refused_nor_promised(facts: ModelFacts, settings: dict[str, Any]) -> None:
    refused, (notice,) = of_fit(make_plan(world(facts, 24, chat(**settings))))
    assert refused == []
    assert notice.startswith("nobody knows whether chat/0 fits on h1 GPU 0 (24 GiB): ")


def test_a_person_can_state_the_number() -> None:
    odd = replace(models.LLAMA_3_8B, model_type="zebra", cache=models.facts("zebra").cache)
    small, large = (chat().model_copy(update={"resources": Resources(gpu_memory=int(n * GIB))}) for n in (20, 23))
    assert of_fit(make_plan(world(odd, 24, small))) == ([], [])
    (text,), _ = of_fit(make_plan(world(odd, 24, large)))
    assert "resources.gpu_memory states 23.00 GiB, of 22.08 GiB usable" in text
    assert "would fit: a GPU of 25 GiB" in text
    assert "20.00 of 22.08 GiB, as resources.gpu_memory states" in render(make_plan(world(odd, 24, small, explain=("chat",))))
    said = fitted.line(started(make_plan(world(odd, 24, small))))
    assert said == "fits: 20.00 of 22.08 GiB, as resources.gpu_memory states", "of its terms and of requests nobody knows"
    assert str(fitted.line(started(make_plan(world(odd, 24, large))))).startswith("does not fit: 23.00 of 22.08 GiB")


def test_a_stated_number_counts_for_a_model_that_lies_on_the_host_and_that_no_lock_knows() -> None:
    for stated, refused in ((20, False), (23, True)):
        model = ModelSpec(host_path="/srv/m")
        spec = chat().model_copy(update={"model": model, "resources": Resources(gpu_memory=stated * GIB)})
        made = world(models.LLAMA_3_8B, 24, spec, explain=("chat",))
        (reached,) = made.observed.values()
        assert isinstance(reached, Reached)
        reached.probe["host_paths"] = {"/srv/m": {"files": {}}}
        plan = make_plan(made)
        assert [r.code for r in plan.refusals] == ["fit"] * refused
        assert fitted.fits(started(plan)) is not refused
        assert f"{stated}.00 of 22.08 GiB, as resources.gpu_memory states" in render(plan)


def test_an_explanation_shows_every_term_and_changes_no_plan() -> None:
    plain = make_plan(world(models.LLAMA_3_8B, 80, chat(max_model_len=16384)))
    plan = make_plan(world(models.LLAMA_3_8B, 80, chat(max_model_len=16384), explain=("chat",)))
    assert plan.plan_id == plain.plan_id
    text = render(plan)
    assert "chat/0 on h1 GPU 0 (80 GiB): weights 14.99 + cache 2.00 + overhead " in text
    for term in (
        "weights   14.99",
        "cache     2.00",
        "overhead  ",
        "at once   ",
        "would fit at most 131072 tokens here",
        "computed",
    ):
        assert term in text


def test_an_explanation_of_an_unknown_architecture_says_so() -> None:
    odd = replace(models.LLAMA_3_8B, model_type="zebra", cache=models.facts("zebra").cache)
    assert "unknown architecture zebra" in render(make_plan(world(odd, 80, chat(), explain=("chat",))))


def test_arguments_that_move_memory_are_read_under_each_of_their_spellings() -> None:
    args = {"max_num_batched_tokens": 4096, "--enforce-eager": True, "block-size": 32, "enable_prefix_caching": False}
    read = memory_settings(chat(args=args, gpu_memory_utilization=0.5, tensor_parallel=2, kv_cache_dtype="fp8"))
    assert read is not None
    assert (read.batched_tokens, read.eager, read.block, read.prefix_caching) == (4096, True, 32, False)
    assert (read.utilization, read.tensor_parallel, read.cache_dtype, read.unread) == (0.5, 2, "fp8", ())


def started(plan: Plan) -> Change:
    (change,) = (c for c in plan.changes if c.kind is Kind.REPLICA)
    return change


def test_a_change_carries_the_terms_that_an_answer_has() -> None:
    spec = chat(max_model_len=8192)
    made = world(models.LLAMA_3_8B, 80, spec)
    change = started(make_plan(made))
    settings = memory_settings(spec)
    assert settings is not None
    answer = fit.answer(fit.Question(models.LLAMA_3_8B, settings, fit.Gpu(80 * GIB, "NVIDIA H100")))
    terms = fitted.terms(change)
    assert terms is not None
    assert terms == {
        "weights": answer.weights, "cache": answer.request, "overhead": answer.overhead.total, "usable": answer.usable,
    }  # fmt: skip
    assert fitted.fits(change) is True
    assert fitted.line(change) == f"fits: {fit.line(answer)}".replace(" (computed)", "") + " (computed)"


def test_the_terms_stand_under_the_change_in_text_and_markdown_and_do_not_move_the_plans_id() -> None:
    plan = make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=8192)))
    line = fitted.line(started(plan))
    assert line is not None
    assert f"\n       {line}\n" in render(plan)
    assert escaped(line) in markdown(plan)
    measured = {**started(plan).data, fitted.FIT: {**started(plan).data[fitted.FIT], "overhead": 1, "source": "measured"}}
    other = replace(plan, changes=tuple(c._replace(data=measured) if c is started(plan) else c for c in plan.changes))
    assert plan_id(other) == plan_id(plan)
    assert from_json(to_json(plan)).changes == as_saved(plan).changes


def test_of_what_does_not_fit_or_is_not_known_the_change_says_so() -> None:
    change = started(make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=131072))))
    assert fitted.fits(change) is False
    assert str(fitted.line(change)).startswith("does not fit: weights 14.99 + cache 16.00 + overhead "), "as the refusal says"
    tight = started(make_plan(world(models.LLAMA_3_8B, 24, chat(max_model_len=50000))))
    assert str(fitted.line(tight)).startswith("may not fit: weights 14.99 + cache 6.10 + overhead ")
    zebra = replace(models.LLAMA_3_8B, model_type="zebra", cache=models.facts("zebra").cache)
    odd = started(make_plan(world(zebra, 24, chat())))
    assert "unknown architecture zebra" in odd.data[fitted.FIT]["unknown"]
    assert fitted.line(odd) is None


def test_a_vllm_for_cpus_takes_the_hosts_memory_and_the_cache_of_its_environment() -> None:
    read = [memory_settings(chat(variant="cpu", env=env)) for env in ({}, {"VLLM_CPU_KVCACHE_SPACE": "4"})]
    assert [(r.cpu, r.cache_bytes, r.block, r.unread) for r in read if r] == [(True, n * GIB, 128, ()) for n in (1, 4)]
    odd = memory_settings(chat(variant="cpu", env={"VLLM_CPU_KVCACHE_SPACE": "x"}))
    assert odd is not None
    assert odd.unread == ("VLLM_CPU_KVCACHE_SPACE",)


def test_a_tensor_parallel_that_fits_on_the_gpus_that_are_free_is_named() -> None:
    (refusal,) = make_plan(world(models.LLAMA_3_8B, 80, chat(max_model_len=8192, tensor_parallel=4))).refusals
    assert (refusal.code, refusal.details) == ("placement", ("h1: 2 of 2 GPUs free, 4 wanted",))
    assert refusal.hint == "tensor_parallel 2 fits on h1, which has 2 GPUs free (computed)"


def test_a_gpu_that_is_too_small_is_not_taken_because_the_large_one_is_busy_and_what_would_fit_on_it_is_said() -> None:
    made = world(models.LLAMA_3_8B, 24, chat(max_model_len=131072))
    (reached,) = made.observed.values()
    assert isinstance(reached, Reached)
    large = reached.probe["gpus"][1]
    large["memory_total"] = 80 * GIB
    reached.probe["other_fleets"] = [{"id": "other", "name": "theirs", "ports": [], "gpus": [large["uuid"]]}]
    (refusal,) = make_plan(made).refusals
    assert refusal.code == "placement"
    assert refusal.details == ("h1: 0 of 1 fitting GPU free, 1 wanted; H100 (24.0 GiB): does not hold it (computed)",)
    hint = str(refusal.hint)
    assert hint.startswith("h1 GPU 0, a free H100 (24.0 GiB), would hold it with max_model_len ")
    length = int(hint.split("max_model_len ")[1].split(",")[0].split(" ")[0])
    shorter = world(models.LLAMA_3_8B, 24, chat(max_model_len=length))
    assert of_fit(make_plan(shorter)) == ([], []), "and with that it does"
    reached.probe["other_fleets"] = []
    (place,) = make_plan(made).roster["slots"]["chat"].values()
    assert place["gpus"] == [large["uuid"]]


def test_a_replica_names_the_log_it_writes_and_its_start_is_told_what_the_lines_mean() -> None:
    """A plan of thousands, and each of their records, would hold the same table as often."""
    plan = make_plan(world(models.LLAMA_3_8B, 80, chat(max_model_len=8192)))
    after = started(plan).after
    assert after is not None
    assert after.payload["ready"]["log"] == ["vllm"]
    assert "failures" not in after.payload["ready"]
    steps = [s for t in transactions(plan, "h1") for s in t["steps"] if s["kind"] == "unit.ready"]
    assert [len(step["args"]["failures"]) for step in steps] == [len(VLLM.log.failures)]
    assert {figure["name"] for figure in steps[0]["args"]["figures"]} >= {"weights", "cache"}
    assert "log" not in steps[0]["args"]
