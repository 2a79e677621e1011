"""When barriers open, whatever the order in which hosts say what they say."""

from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.agent.wire import STAGES
from deployer.execute.conductor import Conductor


def waiting(stage: str) -> dict[str, str]:
    return {"type": "barrier", "stage": stage, "state": "waiting"}


def opened(stage: str) -> dict[str, str]:
    return {"type": "barrier", "stage": stage, "state": "open"}


@settings(max_examples=60)
@given(st.data())
def test_no_stage_opens_before_every_host_that_is_left_stands_at_it(data: st.DataObject) -> None:
    hosts = ["a", "b", "c"]
    conductor, at, left = Conductor(), dict.fromkeys(hosts, -1), set(hosts)
    conductor.add(hosts)
    while left:
        host = data.draw(st.sampled_from(sorted(left)))
        if data.draw(st.integers(0, 9)) == 0:
            conductor.gone(host)
            left.discard(host)
        elif at[host] % 1 == 0 and not conductor._waiting.get(host):
            if at[host] + 1 == len(STAGES):
                conductor.take(host, {"type": "report", "result": "done"})
                conductor.gone(host)
                left.discard(host)
            else:
                at[host] += 1
                conductor.take(host, waiting(STAGES[at[host]]))
        for name, order in conductor.open():
            assert {at[other] for other in left} == {STAGES.index(order["open"])}
            conductor.take(name, opened(order["open"]))
    assert conductor.active == ()


def test_a_stage_is_opened_once_and_again_only_after_the_connection_broke() -> None:
    conductor = Conductor()
    conductor.add(["a"])
    conductor.take("a", waiting("artifacts"))
    assert [order for _, order in conductor.open()] == [{"open": "artifacts", "data": {}}]
    assert conductor.open() == []
    assert [order["open"] for _, order in conductor.again("a")] == ["artifacts"]
    conductor.take("a", opened("artifacts"))
    assert conductor.again("a") == []


def test_a_stop_is_given_once_and_given_again_when_it_may_be_lost() -> None:
    conductor = Conductor()
    conductor.add(["a", "b"])
    conductor.gone("b")
    assert conductor.stop(["a", "b"]) == [("a", {"stop": True})]
    assert conductor.stop(["a"]) == []
    assert conductor.again("a") == [("a", {"stop": True})]


def test_a_pause_is_given_to_all_and_again_to_those_who_may_have_missed_it() -> None:
    conductor = Conductor()
    conductor.add(["a", "b", "c"])
    conductor.gone("c")
    assert conductor.paused("a") == []
    assert conductor.pause(True) == [("a", {"pause": True}), ("b", {"pause": True})]
    assert conductor.again("a") == [("a", {"pause": True})]
    assert conductor.pause(False) == [("a", {"resume": True}), ("b", {"resume": True})]
    conductor.take("a", waiting("artifacts"))
    conductor.take("b", waiting("artifacts"))
    conductor.open()
    assert [order for _, order in conductor.again("a")] == [{"resume": True}, {"open": "artifacts", "data": {}}]
