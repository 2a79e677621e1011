"""Packages that engines ask for are ones that a probe tells of: another one could never be seen as installed."""

from deployer.agent.wire import PACKAGES
from deployer.engines import ENGINES
from deployer.engines.vllm_settings import VllmSettings
from deployer.spec.models import DeploymentSpec, EngineChoice, ModelSpec


def deployment(**settings: object) -> DeploymentSpec:
    choice = EngineChoice(name="vllm", settings=VllmSettings.model_validate(settings))
    return DeploymentSpec(name="chat", model=ModelSpec(path="models/x"), engine=choice)


def test_every_package_is_one_that_the_probe_knows() -> None:
    for settings in ({"variant": "cpu"}, {"variant": "cuda"}, {"variant": "cpu", "args": {"enforce_eager": True}}):
        asked = ENGINES["vllm"].packages(deployment(**settings))
        assert asked
        assert set(asked) <= set(PACKAGES)


def test_a_compiler_is_wanted_only_where_something_is_compiled() -> None:
    assert "g++" in ENGINES["vllm"].packages(deployment(variant="cpu"))
    assert "g++" not in ENGINES["vllm"].packages(deployment(variant="cpu", args={"enforce_eager": True}))
