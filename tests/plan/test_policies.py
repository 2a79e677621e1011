"""Rules over deployments: what they see, what breaks them, and what a plan makes of it."""

from typing import Any

import pytest

from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.policies import broken, waiting
from deployer.plan.text import render
from deployer.plan.world import Options
from deployer.spec.models import FleetSpec, PolicySpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from tests.plan.worlds import WorldMaker, as_saved, deployment, locked

TWO = {"replicas": {"minimum": 2}}


def policy(require: dict[str, Any], **more: Any) -> PolicySpec:
    return PolicySpec(name="r", message="the rule", require=require, **more)


def why(rule: PolicySpec, hosts: list[str] | None = None, **changes: Any) -> list[str]:
    spec = deployment(**changes)
    fleet = FleetSpec.model_construct(name="acme", environment="prod", deployments={"chat": spec}, policies={"r": rule})
    placed = None if hosts is None else {"chat": hosts}
    return [one.why for one in broken(fleet, Positions(), [spec], locked(), placed)]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (policy(TWO), ["replicas is 1: 1 is less than the minimum of 2"]),
        (policy({"replicas": {"minimum": 1}}), []),
        (policy({"logging.requests": {"enum": ["metadata"]}}), ["logging.requests is off, not one of metadata"]),
        (policy({"logging.requests": {"const": "metadata"}}), ["logging.requests is off, not metadata"]),
        (policy({"fleet.environment": {"const": "prod"}}), []),
        (policy({"resources.memory": {"type": "integer"}}), ["resources.memory is not set: None is not of type 'integer'"]),
        (policy({"endpoint.timeout": {"maximum": 60}}), []),
        (
            policy({"engine.toy.context": {"maximum": 512}}),
            ["engine.toy.context is 1024: 1024 is greater than the maximum of 512"],
        ),
        (policy(TWO, match={"engine.toy": {"type": "object"}}), ["replicas is 1: 1 is less than the minimum of 2"]),
        (policy(TWO, match={"engine.vllm": {"type": "object"}}), []),
        (policy(TWO, match={"tags": {"contains": {"const": "prod"}}}), []),
        (policy(TWO, exempt={"chat": "a trial"}), []),
    ],
)
def test_what_a_rule_sees(rule: PolicySpec, said: list[str]) -> None:
    assert why(rule) == said


def test_what_is_not_known_yet_is_left_to_the_plan() -> None:
    rule = policy({"placed.hosts": {"minItems": 2}, **TWO})
    assert why(rule) == ["replicas is 1: 1 is less than the minimum of 2"]
    assert why(rule, ["h1"], replicas=2) == ["placed.hosts is ['h1']: 1, not at least 2"]
    assert why(rule, ["h1", "h2"], replicas=2) == []
    fleet = FleetSpec.model_construct(policies={"a": rule, "b": policy(TWO), "c": policy({"locked.license": {"const": "mit"}})})
    assert waiting(fleet, locked=True) == ("a",)
    assert waiting(fleet, locked=False) == ("a", "c")


def test_a_model_whose_licence_nobody_knows_does_not_pass() -> None:
    rule = policy({"locked.license": {"enum": ["mit"]}})
    assert why(rule) == ["locked.license is not set, not one of mit"]


def test_a_denied_plan_is_refused_and_a_warned_one_says_so() -> None:
    places = {
        ("deployment:chat", ("replicas",)): Source("deployments/chat.yaml", 3, 1),
        ("policy:r", ("require", "replicas")): Source("policies/r.yaml", 4, 3),
    }
    for level in ("deny", "warn"):
        maker = WorldMaker(extra={"policies": {"r": policy(TWO, level=level, hint="write two")}})
        plan = make_plan(maker.world(positions=Positions(places)))
        assert from_json(to_json(plan)) == as_saved(plan)
        assert [r.code for r in plan.refusals] == (["policy"] if level == "deny" else [])
        said = [line.strip() for line in render(plan).splitlines()]
        assert "replicas is 1: 1 is less than the minimum of 2" in said
        assert "policy r, policies/r.yaml:4" in said
        assert "deployments/chat.yaml:3" in said


def test_a_deployment_that_is_not_planned_is_not_judged() -> None:
    maker = WorldMaker([deployment(), deployment("other")], extra={"policies": {"r": policy(TWO)}})
    plan = make_plan(maker.world(options=Options(names=("other",))))
    assert [r.deployment for r in plan.refusals] == ["other"]
