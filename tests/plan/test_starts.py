"""What the next start is expected to take: the nearest starts count, and the longest of the last of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.model import Change, Plan
from deployer.plan.starts import NOT_SEEN, Starts, expect, starts
from deployer.plan.text import render
from deployer.plan.world import Options
from deployer.state.observed import Observed, Reached, Unreached
from deployer.state.resources import Attribute, Kind, Resource
from tests.plan.worlds import WorldMaker, as_saved, deployment, host, probe

CHAT = Resource(
    "h1", Kind.REPLICA, "chat/0", deployment="chat", attributes=(Attribute("engine", "toy"), Attribute("model", "org--tiny/new"))
)


def noted(start_s: Any, at: int = 1, model: str | None = "org--tiny/old", **more: Any) -> dict[str, Any]:
    about = {"engine": "toy", "model": model} if model else {}
    return {"at": f"2026-11-{at:02}T00:00:00.000Z", "revision": at, "start_s": start_s, **about, **more}


def said(**hosts: dict[str, list[dict[str, Any]]]) -> Observed:
    return {name: Reached(name, probe(name, starts=told)) for name, told in hosts.items()}


def expected(**hosts: dict[str, list[dict[str, Any]]]) -> tuple[float, float, str]:
    found = expect(CHAT, starts(said(**hosts)))
    return found.start_s, found.down_s, found.basis


@pytest.mark.parametrize(
    ("hosts", "answer"),
    [
        ({}, (60, 60, NOT_SEEN)),
        ({"h1": {"chat": [noted(14.0)]}}, (14, 14, "as the last start there")),
        ({"h1": {"chat": [noted(14.0), noted(12.0, 2)]}}, (14, 14, "as the last 2 starts there")),
        # only the last five count, whatever their order in the file
        ({"h1": {"chat": [*(noted(10.0 + n, n) for n in range(2, 7)), noted(99.0)]}}, (16, 16, "as the last 5 starts there")),
        # replacements tell how long nobody answered; a start beside the old one does not
        ({"h1": {"chat": [noted(14.0, down_s=17.5), noted(12.0, 2)]}}, (14, 17.5, "as the last 2 starts there")),
        # the deployment's own come first, however many others there are
        ({"h1": {"chat": [noted(14.0)], "other": [noted(90.0, 2)]}}, (14, 14, "as the last start there")),
        ({"h1": {"other": [noted(9.0)]}, "h2": {"chat": [noted(30.0)]}}, (9, 9, "as 1 start of the same model there")),
        ({"h2": {"chat": [noted(30.0), noted(20.0, 2)]}}, (30, 30, "as 2 starts of the same model on h2")),
        ({"h2": {"chat": [noted(30.0)]}, "h3": {"a": [noted(31.0)]}}, (31, 31, "as 2 starts of the same model on 2 other hosts")),
        # another model is another matter, unless there is nothing else
        ({"h1": {"chat": [noted(14.0, model="org--big/x")]}}, (14, 14, "as the last start there, of another model")),
        ({"h1": {"chat": [noted(99.0, model="org--big/x")], "o": [noted(9.0)]}}, (9, 9, "as 1 start of the same model there")),
        ({"h2": {"chat": [noted(30.0, model="org--big/x")]}}, (60, 60, NOT_SEEN)),
        ({"h2": {"chat": [noted(30.0, engine="vllm")]}}, (60, 60, NOT_SEEN)),
        ({"h1": {"chat": [noted(14.0, model=None)]}}, (14, 14, "as the last start there")),
        # less than a second is not promised; what is no number is no start
        ({"h1": {"chat": [noted(0.2)]}}, (1, 1, "as the last start there")),
        ({"h1": {"chat": [noted(None), noted("5"), {}]}}, (60, 60, NOT_SEEN)),
    ],
)  # fmt: skip
def test_the_nearest_starts_count(hosts: dict[str, Any], answer: tuple[float, float, str]) -> None:
    assert expected(**hosts) == answer


def test_a_host_that_is_away_tells_nothing() -> None:
    assert starts({"h1": Unreached("h1", "timeout", "timed out")}) == Starts()


# in a whole plan


def world(**more: Any) -> WorldMaker:
    maker = WorldMaker([deployment("chat", **more)])
    maker.done(make_plan(maker.world()))
    maker.probes["h1"]["starts"] = {"chat": [noted(14.0, model=None, down_s=15.0)]}
    return maker


def replica(plan: Plan) -> Change:
    return next(c for c in plan.changes if c.kind is Kind.REPLICA)


def test_a_replacement_says_its_downtime_and_where_that_is_from() -> None:
    maker = world()
    maker.deployments = [deployment("chat", engine={"context": 2048})]
    plan = make_plan(maker.world())
    impact = replica(plan).impact
    assert (impact.start_s, impact.downtime_s, impact.start_basis) == (14, 15, "as the last start there")
    assert "about 15 s of downtime, as the last start there" in render(plan)
    assert from_json(to_json(plan)) == as_saved(plan)


def test_a_restart_that_was_asked_for_says_so_too() -> None:
    impact = replica(make_plan(world().world(options=Options(restart=("chat",))))).impact
    assert (impact.downtime_s, impact.start_basis) == (15, "as the last start there")


def test_a_stop_expects_no_start_and_what_is_started_again_does() -> None:
    maker = world()
    maker.deployments = [deployment("chat", state="stopped")]
    stop = make_plan(maker.world())
    assert (replica(stop).impact.start_s, replica(stop).impact.start_basis) == (None, "")
    maker.done(stop)
    maker.deployments = [deployment("chat")]
    again = replica(make_plan(maker.world())).impact
    assert (again.start_s, again.downtime_s) == (14, None)


def test_what_was_seen_is_no_part_of_the_plans_identity() -> None:
    maker = world()
    maker.deployments = [deployment("chat", engine={"context": 2048})]
    before = make_plan(maker.world())
    maker.probes["h1"]["starts"] = {"chat": [noted(99.0)]}
    after = make_plan(maker.world())
    assert replica(before).impact != replica(after).impact
    assert before.plan_id == after.plan_id


_NOTES = st.lists(
    st.builds(
        noted,
        st.floats(0, 500),
        st.integers(1, 28),
        st.sampled_from(["org--tiny/a", "org--tiny/b", "org--big/a", None]),
        down_s=st.none() | st.floats(0, 500),
    ),
    max_size=6,
)
_HOSTS = st.dictionaries(st.sampled_from(["h1", "h2", "h3"]), st.dictionaries(st.sampled_from(["chat", "a", "b"]), _NOTES))


@given(_HOSTS, st.randoms(use_true_random=False))
def test_the_order_of_what_hosts_say_changes_nothing(hosts: dict[str, Any], random: Any) -> None:
    before = expect(CHAT, starts(said(**hosts)))

    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    mixed = shuffled({name: shuffled(told) for name, told in hosts.items()})
    assert expect(CHAT, starts(said(**mixed))) == before


@given(_HOSTS)
def test_an_expectation_is_a_time_that_was_seen_or_the_one_for_the_unknown(hosts: dict[str, Any]) -> None:
    found = expect(CHAT, starts(said(**hosts)))
    seen = {max(1.0, one["start_s"]) for told in hosts.values() for notes in told.values() for one in notes}
    assert found.start_s in seen or (found.start_s, found.basis) == (60, NOT_SEEN)
    assert found.down_s >= 1


def test_hosts_in_another_order_give_the_same_plan() -> None:
    maker = WorldMaker([deployment("chat")], [host("h1"), host("h2")], {"h1": probe("h1"), "h2": probe("h2")})
    maker.probes["h1"]["starts"] = {"chat": [noted(14.0, model=None)]}
    maker.probes["h2"]["starts"] = {"chat": [noted(14.0, model=None)]}
    before = make_plan(maker.world())
    maker.probes = dict(reversed(maker.probes.items()))
    assert make_plan(maker.world()) == before
