"""One name of a model stands for one deployment on each gateway."""

from deployer.plan.make import make_plan
from deployer.plan.world import Options
from deployer.spec.models import EndpointSpec, Placement
from tests.plan.worlds import WorldMaker, deployment, host, probe

LLAMA = EndpointSpec(open=True, model_names=("org/Llama",))


def test_two_deployments_that_claim_one_name_on_one_gateway_are_refused() -> None:
    maker = WorldMaker([deployment("a", endpoint=LLAMA), deployment("b", endpoint=LLAMA)])
    (refusal,) = make_plan(maker.world()).refusals
    assert refusal.code == "model-name"
    assert refusal.what == "a and b are both called org/Llama at the gateway on h1"


def test_the_name_of_a_deployment_is_its_own() -> None:
    maker = WorldMaker([deployment("a"), deployment("b", endpoint=EndpointSpec(open=True, model_names=("a",)))])
    (refusal,) = make_plan(maker.world()).refusals
    assert refusal.what == "a and b are both called a at the gateway on h1"
    assert refusal.deployment == "b", "its file says the name that must go"


def test_a_deployment_that_this_plan_is_not_about_keeps_its_name() -> None:
    maker = WorldMaker([deployment("a", endpoint=LLAMA)])
    maker.done(make_plan(maker.world()))
    maker.deployments.append(deployment("b", endpoint=LLAMA))
    assert [r.code for r in make_plan(maker.world(options=Options(names=("b",)))).refusals] == ["model-name"]


def test_on_gateways_of_their_own_two_may_share_a_name() -> None:
    specs = [deployment(n, endpoint=LLAMA, placement=Placement(hosts=(h,))) for n, h in (("a", "h1"), ("b", "h2"))]
    maker = WorldMaker(specs, [host("h1"), host("h2")], {"h1": probe("h1"), "h2": probe("h2")})
    assert make_plan(maker.world()).refusals == ()
