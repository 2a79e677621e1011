"""The same work for many hosts: bounded, with deadlines, in order."""

import threading

import pytest

from deployer.execute.fanout import fan_out


def test_results_come_in_the_order_of_the_names() -> None:
    gate = threading.Event()

    def work(name: str) -> str:
        if name == "a":
            assert gate.wait(5)
        else:
            gate.set()
        return name.upper()

    found = fan_out(["a", "b"], work, limit=2, deadline_s=10, late=lambda name: "late")
    assert list(found.items()) == [("a", "A"), ("b", "B")]


def test_never_more_than_the_limit_at_a_time() -> None:
    now, most, guard = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def work(name: str) -> None:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        both.wait(5)  # passes only when two run at once
        with guard:
            now -= 1

    fan_out([str(n) for n in range(10)], work, limit=2, deadline_s=10, late=lambda name: None)
    assert most == 2


def test_one_that_hangs_is_late_and_holds_nobody_up() -> None:
    never = threading.Event()
    found = fan_out(
        ["hangs", "x", "y"],
        lambda name: str(never.wait(30)) if name == "hangs" else name,
        limit=1,
        deadline_s=0.05,
        late=lambda n: "late",
    )
    never.set()
    assert found == {"hangs": "late", "x": "x", "y": "y"}


def test_a_fault_of_the_work_is_raised_here() -> None:
    def work(name: str) -> None:
        raise ZeroDivisionError(name)

    with pytest.raises(ZeroDivisionError):
        fan_out(["a"], work, limit=1, deadline_s=5, late=lambda name: None)


def test_no_names_no_work() -> None:
    assert fan_out([], lambda name: name, limit=1, deadline_s=1, late=lambda name: name) == {}
