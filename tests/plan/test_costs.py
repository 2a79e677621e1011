"""What GPUs cost a month: of deployments, of changes, and of GPUs that nothing uses."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployer.execute.status import make_status
from deployer.plan.codec import from_json, to_json
from deployer.plan.costs import HOURS, idle, of_places, total, words
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.roster import Place
from deployer.plan.subset import by_changes
from deployer.plan.text import render
from deployer.spec.models import FleetSpec
from deployer.state.observed import Reached, Unreached
from tests.plan.worlds import WorldMaker, as_saved, deployment, host, probe

NOW = "2026-11-20T12:00:00Z"


def maker(price: Any = (2.0, "EUR"), gpus: int = 3, **engine: int) -> WorldMaker:
    made = [deployment(engine={"gpus": 2, **engine})]
    return WorldMaker(made, [host(price=price)], {"h1": probe(gpus=gpus)})


def said(plan: Plan) -> list[str]:
    return [n.what for n in plan.notices if n.code in ("cost", "idle")]


def test_a_new_deployment_says_what_it_costs_and_what_stays_idle() -> None:
    plan = make_plan(maker().world())
    (replica,) = [c for c in plan.changes if c.kind == "replica"]
    assert (replica.impact.month, replica.impact.currency) == (2 * 2.0 * HOURS, "EUR")
    assert said(plan) == [
        "chat costs 2,920 EUR a month: +2,920 EUR by this plan",
        "1 GPU is idle after this: 1,460 EUR a month (1 on h1)",
    ]
    text = render(plan)
    assert "nothing else stops; +2,920 EUR a month" in text
    assert text.splitlines()[-1].endswith("+2,920 EUR a month")
    assert from_json(to_json(plan)) == as_saved(plan)


def test_what_goes_costs_no_more_and_what_stays_is_no_change() -> None:
    one = maker()
    one.done(make_plan(one.world()))
    unchanged = make_plan(one.world())
    assert said(unchanged) == ["1 GPU is idle after this: 1,460 EUR a month (1 on h1)"]
    one.deployments = [deployment(engine={"gpus": 1})]
    assert said(make_plan(one.world()))[0] == "chat costs 1,460 EUR a month: -1,460 EUR by this plan"


def test_a_part_of_a_plan_costs_its_part() -> None:
    plan = make_plan(maker().world())
    without = {c.id for c in plan.changes if c.kind != "replica"}
    assert total(by_changes(plan, without).changes) == {}


def test_without_a_price_nothing_is_said_and_an_estimate_is_no_part_of_a_plans_identity() -> None:
    plain, priced = make_plan(maker(price=None).world()), make_plan(maker().world())
    assert said(plain) == []
    assert "a month" not in render(plain)
    assert plain.plan_id == priced.plan_id


def test_two_currencies_are_never_added() -> None:
    fleet = FleetSpec.model_construct(
        hosts={"a": host("a", price=(1.0, "EUR")), "b": host("b", price=(0.01, "USD")), "c": host("c")}
    )
    places = [Place("chat", n, name, 20000, (f"GPU-{name}-0",)) for n, name in enumerate("abc")]
    assert of_places(fleet, places) == {"chat": {"EUR": 730.0, "USD": 7.3}}
    assert words({"USD": 7.3, "EUR": -730.0}, sign=True) == "-730 EUR and +7.30 USD"


def test_a_host_that_does_not_answer_has_no_idle_gpus_and_one_that_is_shared_only_its_own() -> None:
    fleet = FleetSpec.model_construct(hosts={"a": host("a", price=(1.0, "EUR"), gpus=(0,)), "b": host("b", price=(1.0, "EUR"))})
    observed = {"a": Reached("a", probe("a", gpus=4)), "b": Unreached("b", "timeout", "no answer")}
    assert idle(fleet, observed, []) == ({"a": 1}, {"EUR": 730.0})


def test_the_status_says_the_same() -> None:
    one = maker()
    one.done(make_plan(one.world()))
    world = one.world()
    found = make_status(world.fleet, world.observed, NOW).json()
    assert [d["cost"] for d in found["deployments"]] == [{"EUR": 2920.0}]
    assert found["idle"] == {"hosts": {"h1": 1}, "cost": {"EUR": 1460.0}}
    assert make_status(maker(price=None).world().fleet, world.observed, NOW).json()["idle"] is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12), st.integers(0, 4))
def test_what_is_used_and_what_is_idle_is_all_there_is(slots: list[tuple[str, int]], gpus: int) -> None:
    fleet = FleetSpec.model_construct(hosts={name: host(name, price=(1.0, "EUR")) for name in "abc"})
    observed = {name: Reached(name, probe(name, gpus=gpus)) for name in "abc"}
    taken = {(name, n) for name, n in slots if n < gpus}
    places = [Place("chat", n, name, 20000, (f"GPU-{name}-{n}",)) for name, n in sorted(taken)]
    hosts, money = idle(fleet, observed, places)
    used = of_places(fleet, places).get("chat", {}).get("EUR", 0.0)
    assert sum(hosts.values()) + len(taken) == 3 * gpus
    assert used + money.get("EUR", 0.0) == 3 * gpus * HOURS
