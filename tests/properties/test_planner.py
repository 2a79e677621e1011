"""What must hold for every fleet: said as properties over generated worlds."""

import copy
import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.steps import transactions
from deployer.plan.subset import by_changes, by_hosts
from deployer.plan.world import Options
from deployer.spec.models import Placement
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker, deployment, host, probe

FEW = settings(max_examples=40)
SHARES = st.sampled_from(["10%", "33%", "50%", "60%", "99%"])


def placements(others: st.SearchStrategy[str]) -> st.SearchStrategy[Placement]:
    """Mostly nothing special, else each rule that there is."""
    rules = st.fixed_dictionaries(
        {},
        optional={
            "strategy": st.sampled_from(["pack", "spread"]),
            "spread_by": st.sampled_from(["host", "rack"]),
            "apart": st.sampled_from(["host", "rack"]),
            "apart_from": others.map(lambda name: (name,)),
            "gpu": st.sampled_from(["H100", "H200"]),
            "gpu_share": SHARES,
        },
    )
    return st.one_of(st.just({}), rules).map(lambda given: Placement(**given))


@st.composite
def makers(draw: st.DrawFn) -> WorldMaker:
    racks = st.sampled_from([{}, {"rack": "r1"}, {"rack": "r2"}])
    hosts = [host(f"h{i}", gateway=i == 0, labels=draw(racks)) for i in range(draw(st.integers(1, 4)))]
    count = draw(st.integers(0, 4))
    deployments = [
        deployment(
            f"d{i}",
            replicas=draw(st.integers(1, 2)),
            engine={
                "gpus": draw(st.integers(0, 2)),
                "context": draw(st.sampled_from([512, 1024])),
                "convert": draw(st.booleans()),
            },
            placement=draw(placements(st.sampled_from([f"d{n}" for n in range(count) if n != i] or ["other"]))),
            description=draw(st.sampled_from([None, "[red] text", "50% off"])),
        )
        for i in range(count)
    ]
    return WorldMaker(deployments, hosts, {h.name: probe(h.name, gpus=draw(st.integers(0, 4))) for h in hosts})


def settled(maker: WorldMaker) -> WorldMaker:
    """The world after its plan was applied; deployments with no room are taken out first, and those that lose theirs by that."""
    while refused := {r.deployment for r in make_plan(maker.world()).refusals}:
        staying = [d for d in maker.deployments if d.name not in refused]
        assert len(staying) < len(maker.deployments)
        maker.deployments = staying
    maker.done(make_plan(maker.world()))
    return maker


def text(plan) -> str:  # type: ignore[no-untyped-def]
    return json.dumps(to_json(plan), sort_keys=False)


@FEW
@given(makers())
def test_a_plan_that_was_done_leaves_nothing_to_do(maker: WorldMaker) -> None:
    settled(maker)
    again = make_plan(maker.world())
    assert again.changes == ()
    assert again.drift == ()


@FEW
@given(makers(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_no_byte(maker: WorldMaker, random) -> None:  # type: ignore[no-untyped-def]
    before = text(make_plan(maker.world()))
    random.shuffle(maker.deployments)
    random.shuffle(maker.hosts)
    names = list(maker.probes)
    random.shuffle(names)
    maker.probes = {n: maker.probes[n] for n in names}
    assert text(make_plan(maker.world())) == before


@FEW
@given(makers())
def test_no_two_replicas_claim_the_same_gpu_or_port(maker: WorldMaker) -> None:
    settled(maker)
    assert_nothing_claimed_twice(make_plan(maker.world()).roster["slots"])


def assert_nothing_claimed_twice(*rosters) -> None:  # type: ignore[no-untyped-def]
    """No port is had twice, and of no GPU more than all. With several rosters: while one becomes the other, of each slot that
    stays on its GPU the larger share counts.
    """
    ports = [(slot["host"], slot["port"]) for slots in rosters[-1].values() for slot in slots.values()]
    assert len(ports) == len(set(ports))
    claims: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    for roster in rosters:
        for name, slots in roster.items():
            for number, slot in slots.items():
                for gpu in slot["gpus"]:
                    mine = claims.setdefault((slot["host"], gpu), {})
                    mine[name, number] = max(mine.get((name, number), 0), slot.get("share", 100))
    assert all(sum(shares.values()) <= 100 for shares in claims.values())


SHARED = st.lists(st.one_of(st.none(), SHARES), min_size=4, max_size=4)


@settings(max_examples=15)
@given(st.integers(1, 3), SHARED, SHARED)
def test_shares_that_change_never_claim_more_than_there_is_while_they_do(
    gpus: int, first: list[str | None], then: list[str | None]
) -> None:
    maker = WorldMaker([], [host("h0", gateway=True)], {"h0": probe("h0", gpus=gpus)})

    def shared(shares: list[str | None]) -> None:
        named = {f"d{n}": share for n, share in enumerate(shares)}
        names = [spec.name for spec in maker.deployments] or list(named)
        maker.deployments = [deployment(n, engine={"gpus": 1}, placement=Placement(gpu_share=named[n])) for n in names]

    shared(first)
    settled(maker)
    before = make_plan(maker.world()).roster["slots"]
    assert_nothing_claimed_twice(before)
    shared(then)
    plan = make_plan(maker.world())
    assert_nothing_claimed_twice(before, plan.roster["slots"])
    if not plan.refusals:
        maker.done(plan)
        assert make_plan(maker.world()).changes == ()


@FEW
@given(makers(), st.data())
def test_a_host_that_is_unknown_is_never_changed_and_keeps_its_slots(maker: WorldMaker, data: st.DataObject) -> None:
    settled(maker)
    assume(len(maker.probes) > 1)  # when nobody answers, nobody can say where the slots are, and nothing is placed
    before = make_plan(maker.world()).roster["slots"]
    silent = data.draw(st.sampled_from(sorted(maker.probes)))
    del maker.probes[silent]
    maker.unreached = {silent: Unreached(silent, "timeout", "timed out")}
    maker.deployments = [d for d in maker.deployments if data.draw(st.booleans())]
    plan = make_plan(maker.world(options=Options(prune=True)))
    assert silent not in {c.host for c in plan.changes}
    kept = {n: s for n, s in before.items() if n in {d.name for d in maker.deployments}}
    for name, slots in kept.items():
        for number, slot in slots.items():
            if slot["host"] == silent:
                assert plan.roster["slots"][name][number] == slot


@FEW
@given(makers())
def test_removing_one_file_moves_nothing_else(maker: WorldMaker) -> None:
    settled(maker)
    if not maker.deployments:
        return
    gone = maker.deployments.pop(0)
    plan = make_plan(maker.world(options=Options(prune_approved=(gone.name,))))
    assert {c.deployment for c in plan.changes} <= {gone.name}


@FEW
@given(makers())
def test_artifacts_of_other_fleets_are_never_removed(maker: WorldMaker) -> None:
    settled(maker)
    foreign = {
        "path": "/opt/deployer/engines/theirs",
        "kind": "environment",
        "name": "theirs",
        "complete": True,
        "fleets": ["other"],
    }
    for found in maker.probes.values():
        found["artifacts"].append(copy.deepcopy(foreign))  # type: ignore[arg-type]
    maker.deployments = []
    plan = make_plan(maker.world(options=Options(prune=True)))
    assert "theirs" not in {c.name for c in plan.changes}


@FEW
@given(makers())
def test_a_model_is_converted_once_and_every_copy_comes_from_there(maker: WorldMaker) -> None:
    plan = make_plan(maker.world())
    made = [c.after for c in plan.changes if c.after is not None and c.after.payload.get("method") in ("convert", "copy")]
    hosts = {(r.name, r.host) for r in made if r.payload["method"] == "convert"}
    assert len({name for name, _ in hosts}) == len(hosts)
    assert {(r.name, r.payload["from"]) for r in made if r.payload["method"] == "copy"} <= hosts


@FEW
@given(makers(), st.data())
def test_a_part_of_a_plan_never_does_what_needs_something_left_out(maker: WorldMaker, data: st.DataObject) -> None:
    plan = make_plan(maker.world())
    ids = [c.id for c in plan.changes]
    part = by_changes(plan, {i for i in ids if data.draw(st.booleans())})
    kept = {c.id for c in part.changes}
    whole = set(ids)
    for change in part.changes:
        assert set(change.depends_on) & whole <= kept
    assert len(kept) == len(ids) or part.plan_id != plan.plan_id
    for name in maker.probes:
        for transaction in transactions(part, name):
            assert {s["change"] for s in transaction["steps"]} <= kept
    assert all(c.host == "h0" for c in by_hosts(plan, {"h0"}).changes)


@FEW
@given(makers())
def test_saving_and_reading_a_plan_changes_nothing(maker: WorldMaker) -> None:
    plan = make_plan(maker.world())
    assert text(from_json(json.loads(text(plan)))) == text(plan)


@FEW
@given(makers())
def test_ids_of_changes_and_steps_are_unique(maker: WorldMaker) -> None:
    plan = make_plan(maker.world())
    ids = [c.id for c in plan.changes]
    assert len(ids) == len(set(ids))
    for name in maker.probes:
        steps = [s["id"] for t in transactions(plan, name) for s in t["steps"]]
        assert len(steps) == len(set(steps))
