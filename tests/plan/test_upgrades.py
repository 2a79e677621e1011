"""A new version of an engine says in the plan what it means for the options in use."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.engines.ctranslate2 import CTRANSLATE2
from deployer.engines.ctranslate2_settings import CTranslate2Settings
from deployer.engines.vllm import VLLM
from deployer.engines.vllm_settings import VllmSettings
from deployer.plan import upgrades
from deployer.plan.make import make_plan
from deployer.plan.model import Change, Delta, Plan
from deployer.plan.text import render
from deployer.plan.world import World
from deployer.spec.models import EngineChoice, FleetSpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from deployer.state.locked import Locked
from deployer.state.resources import Kind, Resource
from tests.plan.worlds import WorldMaker, deployment, host, locked, probe


def said(before: str | None, after: str, **args: Any) -> list[str]:
    spec = deployment().model_copy(update={"engine": EngineChoice(name="vllm", settings=VllmSettings(version=after, args=args))})
    places = {("deployment:chat", ("engine", "vllm", "version")): Source("deployments/chat.yaml", 5, 3)}
    fleet = FleetSpec.model_construct(hosts={}, deployments={"chat": spec})
    world = World(fleet, Positions(places), Locked(), {}, {"vllm": VLLM}, "2026-11-21T10:00:00Z")
    new = Resource("h1", Kind.REPLICA, "chat/0", "chat")
    deltas = (Delta("version", before, after, restarts=True),) if before else ()
    change = Change("c1", "h1", Kind.REPLICA, "chat/0", "chat", ("delete", "create"), "version", deltas, new, new)
    return [f"{n.code}: {n.what} ({n.source})" for n in upgrades.notices(world, [spec], [change])]


def test_an_upgrade_says_what_is_new_for_the_options_in_use() -> None:
    found = said("0.31.0", "0.32.0", kv_cache_dtype_skip_layers=["1"], gdn_prefill_backend="triton")
    assert found == [
        "upgrade: chat: since version 0.31.0, gdn_prefill_backend: takes aiter_flydsl too (deployments/chat.yaml:5)",
        "upgrade: chat: since version 0.31.0, other defaults, of options that are left out: disable_cascade_attn true → none"
        " (deployments/chat.yaml:5)",
    ]


def test_an_option_that_will_not_last_is_said_with_every_new_process() -> None:
    found = said(None, "0.32.0", log_config_file="/etc/vllm-log.json")
    assert [line[:48] for line in found] == ["deprecated: chat: log_config_file will not last:"]
    assert "Use --logging-config.pylogging_config_file instead." in found[0]


def test_nothing_is_said_without_a_new_version_or_of_one_that_is_not_known() -> None:
    assert said(None, "0.32.0", seed=1) == []
    assert said("0.32.0", "0.32.1", seed=1) == []
    assert said("0.20.0", "0.32.0", seed=1) == []


@pytest.mark.parametrize(("kind", "told"), [("generator", 1), ("encoder", 0)])
@pytest.mark.parametrize("before", ["vllm", "ctranslate2"])
def test_who_comes_to_ctranslate2_from_another_engine_hears_what_it_refuses(kind: str, told: int, before: str) -> None:
    spec = deployment().model_copy(
        update={"engine": EngineChoice(name="ctranslate2", settings=CTranslate2Settings.model_validate({"kind": kind}))}
    )
    fleet = FleetSpec.model_construct(hosts={}, deployments={"chat": spec})
    world = World(fleet, Positions({}), Locked(), {}, {"ctranslate2": CTRANSLATE2}, "2026-11-21T10:00:00Z")
    new = Resource("h1", Kind.REPLICA, "chat/0", "chat")
    deltas = (Delta("engine", before, "ctranslate2", restarts=True),) if before != "ctranslate2" else ()
    change = Change("c1", "h1", Kind.REPLICA, "chat/0", "chat", ("delete", "create"), "engine", deltas, new, new)
    found = [n.what for n in upgrades.notices(world, [spec], [change])]
    assert len(found) == (told if before == "vllm" else 0)
    assert all("response_format" in what and "400" in what for what in found)


def test_a_plan_that_raises_the_version_says_it() -> None:
    """From the files and a host's record to the text that a person reads."""
    maker = WorldMaker(hosts=[host()], probes={"h1": probe(gpus=1)})
    versions = {"0.32.0": "vllm-0.32.0", "0.33.0": "vllm-0.33.0"}
    base = locked()
    environments = {name: replace(base.environments["toy-1.0"], name=name) for name in versions.values()}
    lock = replace(base, environments={**base.environments, **environments})

    def plan(version: str) -> Plan:
        settings = VllmSettings(version=version, args={"gdn_prefill_backend": "triton", "mamba_cache_mode": "align"})
        spec = deployment().model_copy(update={"engine": EngineChoice(name="vllm", settings=settings)})
        maker.deployments = [spec]
        return make_plan(maker.world(engines={"vllm": VLLM}, locked=lock))

    maker.done(plan("0.32.0"))
    assert not [n for n in plan("0.32.0").notices if n.code in ("upgrade", "deprecated")]
    text = render(plan("0.33.0"))
    assert "chat: since version 0.32.0, gdn_prefill_backend: takes sycl too" in text
    assert text.count("chat: mamba_cache_mode will not last: --mamba-cache-mode is deprecated") == 1
    assert "0.32.0, mamba_cache_mode" not in text
