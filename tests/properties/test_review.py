"""Approving change by change: what must hold whatever a person decides, in whatever order."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.plan.model import Change, Plan
from deployer.plan.review import Decision, Review

MANY = settings(max_examples=60)
Act = Callable[[Review], Review]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Changes that need earlier ones; some of them delete something."""
    changes = []
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        actions = draw(st.sampled_from([("create",), ("update",), ("delete",), ("delete", "create")]))
        reason = "for the property"
        needed = tuple(f"c{one}" for one in sorted(needs))
        changes.append(Change(f"c{number}", "h1", None, f"n{number}", None, actions, reason, depends_on=needed))
    return Plan("p", "id", "acme", None, None, "", changes=tuple(changes))


@st.composite
def reviews(draw: st.DrawFn) -> Review:
    review = Review.of(draw(plans()))
    ids = [c.id for c in review.plan.changes]
    some = st.sets(st.sampled_from(ids))
    for _ in range(draw(st.integers(0, 6))):
        act = draw(st.sampled_from(["approve", "approve_all", "reject", "undecide"]))
        review = getattr(review, act)(draw(some))
    return review


def some_of(data: st.DataObject, review: Review) -> set[str]:
    return data.draw(st.sets(st.sampled_from([c.id for c in review.plan.changes]), min_size=1))


@MANY
@given(reviews())
def test_the_approved_part_holds_all_that_it_needs_and_nothing_else_is_left_out_of_it(review: Review) -> None:
    for change in review.approved_changes:
        assert set(change.depends_on) <= review.approved
    assert not review.approved & (review.rejected | review.blocked)
    assert {c.id for c in review.part().changes} == review.approved


@MANY
@given(reviews(), st.data())
def test_rejecting_takes_along_what_needs_it(review: Review, data: st.DataObject) -> None:
    out = some_of(data, review)
    after = review.reject(out)
    assert out <= after.rejected
    for change in review.plan.changes:
        if set(change.depends_on) & (after.rejected | after.blocked):
            assert after.decision(change.id) in (Decision.BLOCKED, Decision.REJECTED)
    for change in after.blocked:
        assert after.blockers(change)


@MANY
@given(reviews(), st.data())
def test_an_approval_that_is_taken_back_leaves_what_was_before(review: Review, data: st.DataObject) -> None:
    undecided = [c.id for c in review.plan.changes if review.decision(c.id) is Decision.PENDING]
    if undecided:
        one = data.draw(st.sampled_from(undecided))
        assert review.approve([one]).undecide([one]) == review


@MANY
@given(reviews(), st.data())
def test_a_rejection_that_is_taken_back_unblocks_what_needed_it(review: Review, data: st.DataObject) -> None:
    out = some_of(data, review) - review.rejected
    after = review.reject(out).undecide(out)
    assert after.rejected == review.rejected
    assert after.blocked == review.blocked


@MANY
@given(reviews(), st.data())
def test_approving_many_deletes_nothing_and_overrules_no_rejection(review: Review, data: st.DataObject) -> None:
    after = review.approve_all(some_of(data, review))
    grave = {c.id for c in review.plan.changes if c.destructive}
    assert not (after.approved - review.approved) & grave
    assert after.rejected == review.rejected
    assert review.approved <= after.approved


@MANY
@given(reviews(), st.data())
def test_approving_one_overrules_the_rejections_in_its_way(review: Review, data: st.DataObject) -> None:
    wanted = some_of(data, review)
    after = review.approve(wanted)
    assert wanted <= after.approved


@given(plans())
def test_nothing_is_approved_at_the_start_and_all_of_it_is_the_plan_itself(plan: Plan) -> None:
    review = Review.of(plan)
    assert {review.decision(c.id) for c in plan.changes} == {Decision.PENDING}
    assert review.approve_all([c.id for c in plan.changes], destructive=True).part() is plan
