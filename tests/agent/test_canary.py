"""The verdict over a canary, from what HAProxy counts."""

import pytest

from deployer.agent.canary import FEW, GOOD, WORSE, Counts, Tally, judge
from deployer.plan.rounds import CLEARLY_WORSE

HEAD = "# pxname,svname,stot,hrsp_5xx,econ,eresp,wretr,rtime,addr\n"


def counts(requests: int, failed: int = 0, ms: float = 100) -> Counts:
    return Counts(requests, failed, requests * ms)


def row(port: int, stot: int, failed: int = 0, ms: int = 100, **more: int) -> str:
    said = {"econ": 0, "eresp": 0, "wretr": 0, **more}
    return f"be_chat,s,{stot},{failed},{said['econ']},{said['eresp']},{said['wretr']},{ms},127.0.0.1:{port}\n"


@pytest.mark.parametrize(
    ("canary", "old", "verdict"),
    [
        (counts(100), counts(900), GOOD),
        (counts(19, 19), counts(900), FEW),
        (counts(20, 3), counts(900), WORSE),
        (counts(20, 2), counts(900), GOOD),  # two failures are chance
        (counts(100, 4), counts(900), GOOD),  # within five of a hundred
        (counts(100, 6), counts(900), WORSE),
        (counts(100, 30), counts(900, 270), GOOD),  # the old ones fail as often
        (counts(100, 30), counts(5, 5), WORSE),  # so few of the old say nothing
        (counts(100, ms=250), counts(900), GOOD),  # two and a half times, but 150 ms
        (counts(100, ms=310), counts(900), WORSE),
        (counts(100, ms=1500), counts(900, ms=1000), GOOD),
        (counts(100, ms=9000), counts(5), GOOD),
    ],
)
def test_clearly_worse_is_what_the_numbers_say(canary: Counts, old: Counts, verdict: str) -> None:
    found, why = judge(canary, old, CLEARLY_WORSE)
    assert found == verdict
    assert f"{canary.failed} of {canary.requests} requests failed" in why


def test_answer_times_count_only_at_the_end() -> None:
    assert judge(counts(100, ms=900), counts(900), CLEARLY_WORSE, slow=False)[0] == GOOD


def test_what_was_counted_before_does_not_count_and_a_worker_that_ends_leaves_its_counts() -> None:
    tally = Tally(20001, [20000])
    tally.take({"7": HEAD + row(20000, 500, 50)})
    tally.take({"7": HEAD + row(20000, 510, 50), "8": HEAD + row(20000, 40) + row(20001, 5, 1)})
    tally.take({"8": HEAD + row(20000, 60) + row(20001, 9, 2), "9": HEAD + row(20001, 1, econ=1, wretr=2)})
    canary, old = tally.both
    assert (canary.requests, canary.failed) == (12, 5)  # what failed counts as a request at least once
    assert (old.requests, old.failed, old.average_ms) == (70, 0, 100)


def test_other_servers_and_what_is_no_table_count_for_nothing() -> None:
    tally = Tally(20001, [20000])
    tally.take({})
    tally.take({"7": "", "8": HEAD + row(30000, 9, 9) + "be_chat,BACKEND,9,9,0,0,0,1,\n"})
    assert tally.both == (Counts(), Counts())
