"""Rules of deployer.yaml that leave a difference alone: not put back, but still said, with the rule's place."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.plan.codec import from_json, to_json
from deployer.plan.drift import matches
from deployer.plan.make import make_plan
from deployer.plan.markdown import render as markdown
from deployer.plan.model import Plan
from deployer.plan.steps import transactions
from deployer.plan.text import render
from deployer.plan.world import World
from deployer.spec.models import DriftRule, DriftSpec
from deployer.spec.positions import Positions
from deployer.spec.source import Source
from tests.plan.worlds import WorldMaker, as_saved

RULE = Source("deployer.yaml", 7, 7)


def drifted(*rules: DriftRule) -> World:
    """A host whose unit has two drop-ins, and the rules."""
    maker = WorldMaker()
    maker.done(make_plan(maker.world()))
    unit = next(u for u in maker.probes["h1"]["units"] if "-chat-0-" in u["name"])
    unit["dropins"] = [f"/etc/systemd/system/{unit['name']}.d/{name}.conf" for name in ("a", "b")]
    maker.extra = {"drift": DriftSpec(ignore=rules)}
    world = maker.world()
    places = {**world.positions.places, ("deployer", ("drift", "ignore", 0)): RULE}
    return maker.world(positions=Positions(places))


def said(plan: Plan) -> tuple[list[str], list[str]]:
    """(put back, left alone): the drop-ins' names."""
    return [d.what[-6:] for d in plan.drift], [d.what[-6:] for d in plan.ignored]


def test_without_a_rule_both_are_put_back() -> None:
    assert said(make_plan(drifted())) == (["a.conf", "b.conf"], [])


@pytest.mark.parametrize(
    "rule",
    [
        DriftRule(what="*: b.conf"),
        DriftRule(host="h1", what="* has a drop-in: b.*"),
        DriftRule(host="h1", deployment="chat", what="*b.conf"),
    ],
)
def test_a_rule_leaves_one_alone_and_the_other_is_put_back(rule: DriftRule) -> None:
    plan = make_plan(drifted(rule))
    assert said(plan) == (["a.conf"], ["b.conf"])
    (change,) = plan.changes
    assert [path[-6:] for path in change.data["dropins"]] == ["a.conf"]
    removed = [s["args"]["path"] for t in transactions(plan, "h1") for s in t["steps"] if s["kind"] == "file.remove"]
    assert [path[-6:] for path in removed] == ["a.conf"]


@pytest.mark.parametrize("rule", [DriftRule(host="h1"), DriftRule(deployment="chat"), DriftRule(what="*drop-in*")])
def test_when_all_is_left_alone_there_is_nothing_to_do_and_it_is_still_said(rule: DriftRule) -> None:
    plan = make_plan(drifted(rule))
    assert plan.changes == ()
    assert said(plan) == ([], ["a.conf", "b.conf"])
    assert {d.source for d in plan.ignored} == {RULE}
    assert "b.conf   ignored   deployer.yaml:7" in render(plan)
    assert markdown(plan).count("ignored") == 2
    assert from_json(to_json(plan)) == as_saved(plan)


@pytest.mark.parametrize(
    "rule",
    [DriftRule(host="h2"), DriftRule(deployment="other"), DriftRule(host="h1", what="*: c.conf"), DriftRule(what="drop-in")],
)
def test_a_rule_that_does_not_fit_changes_nothing(rule: DriftRule) -> None:
    assert said(make_plan(drifted(rule))) == (["a.conf", "b.conf"], [])


def test_a_plan_saved_before_there_were_rules_can_be_read() -> None:
    data = to_json(make_plan(drifted()))
    data.pop("ignored")
    data["drift"] = [{k: v for k, v in d.items() if k not in ("kind", "source")} for d in data["drift"]]
    assert said(from_json(data)) == (["a.conf", "b.conf"], [])


@given(st.text(alphabet="ab*[?", max_size=8), st.text(alphabet="ab[?", max_size=8))
def test_a_star_stands_for_anything_and_nothing_else_is_special(pattern: str, text: str) -> None:
    wanted = re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None
    assert matches(pattern, text) == wanted


def test_it_is_not_the_shell_s_pattern() -> None:
    assert fnmatch.fnmatch("a", "[a]")
    assert not matches("[a]", "a")
