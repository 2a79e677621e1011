"""Lines of the plan review as values: what a filter finds, what a line says, what is folded. No terminal is needed."""

from dataclasses import replace

import pytest

from deployer.plan.make import make_plan
from deployer.plan.model import Change, Finding, Impact, Plan
from deployer.plan.review import Review
from deployer.spec.source import Source
from deployer.state.resources import Kind, Resource
from deployer.tui.glyphs import ASCII, UNICODE
from deployer.tui.line import text_of
from deployer.tui.plandetail import Detail
from deployer.tui.planfilter import Entry, questions, select
from deployer.tui.planrows import impact, row
from deployer.tui.plantree import MANY, Group, Item, PlanTree
from tests.plan.worlds import WorldMaker, deployment, host, probe

GIB = 1 << 30


def plan() -> Plan:
    names = ("gpu-01", "gpu-02")
    every = [deployment("chat", placement={"hosts": ("gpu-01",)}), deployment("embed", placement={"hosts": ("gpu-02",)})]
    return make_plan(WorldMaker(every, [host(name) for name in names], {name: probe(name) for name in names}).world())


def gone(name: str = "old/0", **more: float) -> Change:
    resource = Resource("gpu-01", Kind.ENDPOINT, name, "old")
    return Change(
        f"gone-{name}", "gpu-01", Kind.ENDPOINT, name, "old", ("delete",), "not in the files any more",
        before=resource, impact=Impact(downtime_s=more.get("downtime_s")),
    )  # fmt: skip


def found(text: str, kind: str | None = None) -> list[str]:
    one = plan()
    entries = PlanTree(replace(one, changes=(*one.changes, gone(downtime_s=60.0)))).entries
    return [f"{e.host} {e.subject}" for e in select(entries, questions(text, kind))]


def test_words_must_all_be_there_and_an_exclamation_mark_means_not() -> None:
    assert found("endpoint chat") == ["gpu-01 endpoint /chat/v1"]
    assert not [line for line in found("dep:chat !endpoint") if "endpoint" in line]
    assert len(found("dep:chat !endpoint")) == len(found("dep:chat")) - 1


@pytest.mark.parametrize(
    ("text", "kind"), [("-", None), ("downtime", None), ("host:01 -", None), ("", "delete"), ("OLD delete", None)]
)
def test_signs_kinds_and_costs_find_what_they_stand_for(text: str, kind: str | None) -> None:
    assert found(text, kind) == ["gpu-01 endpoint /old/0/v1"]


def test_several_signs_mean_one_of_them() -> None:
    assert len(found("+ -")) == len(found("+")) + 1
    assert found("+", "delete") == []


def test_a_plan_with_many_changes_opens_with_its_groups_folded() -> None:
    one = plan()
    many = replace(one, changes=tuple(gone(f"old/{n}") for n in range(MANY + 1)))
    tree = PlanTree(many)
    (group,) = tree.nodes(tree.entries, tree.folded)
    assert isinstance(group, Group)
    assert len(group.entries) == MANY + 1
    small = PlanTree(one)
    assert any(isinstance(node, Entry) for node in small.nodes(small.entries, small.folded))


def test_turning_the_tree_shows_the_same_changes_under_their_deployments() -> None:
    tree = PlanTree(plan())
    by_host = {e.key for e in tree.entries}
    tree.by = "deployment"
    labels = [n.label for n in tree.nodes(tree.entries, set()) if isinstance(n, Group) and n.depth == 0]
    assert labels == ["shared by deployments", "chat", "embed"]
    assert {e.key for e in tree.entries} == by_host


def replica(memory: int) -> Resource:
    return Resource("gpu-01", Kind.REPLICA, "chat/0", "chat", payload={"port": 1, "gpus": ["GPU-a"]}, vram_bytes=memory)


def test_memory_of_a_gpu_is_said_before_and_after_of_the_total_where_that_is_known() -> None:
    change = Change(
        "c", "gpu-01", Kind.REPLICA, "chat/0", "chat", ("delete", "create"), "more", before=replica(14 * GIB),
        after=replica(20 * GIB), impact=Impact(downtime_s=95.0, restarts=1, download_bytes=2 * GIB),
    )  # fmt: skip
    assert text_of(impact(change, UNICODE, {})) == "2 min down  VRAM 14.0 → 20.0 GiB  2.0 GiB to bring"
    assert "VRAM 14.0 -> 20.0 of 80.0 GiB" in text_of(impact(change, ASCII, {"GPU-a": 80 * GIB}))


def test_a_finding_stands_before_the_changes_with_why_and_what_to_do() -> None:
    place = Source("hosts/gpu-01.yaml", 2, 1)
    clock = Finding("clock", "warn", "the clock of gpu-01 is off", "logs do not go together", "set it", "gpu-01", None, place)
    one = replace(plan(), findings=(clock,))
    nodes = PlanTree(one).nodes(PlanTree(one).entries, ())
    item = next(node for node in nodes if isinstance(node, Item))
    assert nodes.index(item) < next(n for n, node in enumerate(nodes) if isinstance(node, Group))
    drawn = row(item, Review.of(one), ASCII, {})
    assert text_of(drawn.left).strip() == "! the clock of gpu-01 is off"
    assert text_of(drawn.right) == "hosts/gpu-01.yaml:2"
    told = "\n".join(text_of(one) for one in Detail(Review.of(one), ASCII, {}).of(item))
    assert "logs do not go together" in told
    assert "do       set it" in told


def test_each_decision_has_a_sign_of_its_own_also_in_ascii() -> None:
    one = plan()
    tree = PlanTree(one)
    endpoint = next(e for e in tree.entries if e.subject == "endpoint /chat/v1")
    replica_ = next(e for e in tree.entries if e.subject.startswith("chat/0"))
    start = Review.of(one)
    signs = [
        text_of(row(entry, review, ASCII, {}).left).strip()[:3]
        for entry, review in (
            (endpoint, start),
            (endpoint, start.approve([endpoint.key])),
            (replica_, start.reject([replica_.key])),
            (endpoint, start.reject([replica_.key])),
        )
    ]
    assert signs == ["[ ]", "[x]", "[-]", "[!]"]
