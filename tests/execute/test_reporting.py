"""The report of an apply: whatever came of it on a host, a person reads why."""

import queue
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import DeployerError, Unreachable
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control, Follower
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.reporting import make_report
from tests.execute.plans import plan, replica
from tests.execute.reports import says_why

Line = dict[str, Any]
KILLED = "the run on the host was killed"


def follower(said: Line | None, *before: Line, error: DeployerError | None = None) -> Follower:
    """Has followed the run of host a: these lines, its report, and why nothing more came."""
    found = Follower(cast("Pool", None), lambda event: None, Control(), Patience())
    found.began["a"], found.ended["a"] = 1.0, 2.0
    found.conductor.add(["a"])
    for line in (*before, *([{"type": "report", **said}] if said is not None else ())):
        found.conductor.take("a", line)
    if error is not None:
        found.errors["a"] = error
    return found


def report(said: Line | None, *before: Line, error: DeployerError | None = None) -> Report:
    wanted = plan([replica("a")])
    steps = [{"id": "chat/start", "label": "start chat/0"}]
    transactions = [{"id": "model:m", "steps": []}, {"id": "chat", "deployment": "chat", "steps": steps}]
    return make_report("r1", wanted, follower(said, *before, error=error), {"a": {"transactions": transactions}}, {}, 0.0)


STATES = st.sampled_from(["done", "failed", "undone", "skipped", "undo-failed", "kept"])
ENDS = st.fixed_dictionaries({"state": STATES}, optional={"step": st.just("chat/start"), "message": st.just("it broke")})
WORDS = ["done", "failed", "rolled-back", "locked", "stale", "stopped", "lost", "a word of a newer agent"]  # wire.py
RESULTS = st.sampled_from(WORDS)
SAID = st.fixed_dictionaries(
    {"result": RESULTS, "transactions": st.dictionaries(st.sampled_from(["model:m", "chat"]), ENDS)},
    optional={"message": st.just("the request is gone")},
)
ERRORS = st.sampled_from([DeployerError("it went wrong", where="a"), Unreachable("no route", where="a")])
BEFORE = st.sampled_from([{"type": "locked"}, {"type": "refused", "reason": "lock"}, {"type": "refused", "reason": "stale"}])


@given(st.none() | SAID, st.lists(BEFORE, max_size=1), st.none() | ERRORS)
def test_whatever_a_run_ends_with_an_exit_code_that_is_not_0_is_explained(
    said: Line | None, before: list[Line], error: DeployerError | None
) -> None:
    found = report(said, *before, error=error)
    assert found.exit_code == 0 or says_why(found), found


def test_a_run_that_was_stopped_because_its_bytes_could_not_be_brought_says_so_and_that_all_is_as_it_was() -> None:
    ends = {"model:m": {"state": "undone", "message": "the run was stopped"}, "chat": {"state": "skipped", "message": "it needs"}}
    error = DeployerError("models/m became shorter while it was read", where="a", hint="lock again")
    found = report({"result": "stopped", "transactions": ends}, {"type": "locked"}, error=error)
    assert found.exit_code == 1
    (failure,) = found.failures
    assert (failure.message, failure.hint, failure.undone) == (error.what, "lock again", True)
    assert (failure.deployment, failure.step) == (None, None)


def test_an_agent_that_broke_between_two_steps_is_said_once_and_not_for_each_transaction() -> None:
    told = {"state": "kept", "message": "unexpected KeyError in lock.py:12"}
    found = report({"result": "failed", "transactions": {"model:m": told, "chat": told}}, {"type": "locked"})
    assert [(f.message, f.deployment, f.undone) for f in found.failures] == [("unexpected KeyError in lock.py:12", None, False)]


def test_a_run_that_was_never_begun_left_everything_as_it_was() -> None:
    found = report(None, error=DeployerError("systemd did not start the run", where="a"))
    assert [(f.message, f.undone) for f in found.failures] == [("systemd did not start the run", True)]


def test_a_run_that_broke_off_once_it_had_its_lock_may_have_left_something() -> None:
    found = report(None, {"type": "locked"}, error=DeployerError("the agent ended (exit status 3)", where="a"))
    assert [f.undone for f in found.failures] == [False]


def test_a_request_that_is_gone_is_said_in_the_runs_own_words() -> None:
    found = report({"result": "failed", "transactions": {}, "message": "the request is gone"})
    assert [f.message for f in found.failures] == ["the request is gone"]
    assert found.hosts["a"].message == "the request is gone"


def test_what_a_killed_run_left_to_tidy_up_is_a_failure_beside_what_was_undone() -> None:
    ends = {
        "model:m": {"state": "undone", "step": "model/m", "message": KILLED},
        "chat": {"state": "kept", "step": "chat/start", "message": f"{KILLED}; and it could not be undone: stop the old"},
    }
    found = report({"result": "failed", "transactions": ends}, {"type": "locked"})
    assert [(f.deployment, f.undone) for f in found.failures] == [(None, True), ("chat", False)]


def test_where_only_another_host_failed_that_is_what_is_said() -> None:
    ends = {"model:m": {"state": "done"}, "chat": {"state": "undone", "message": "chat failed on another host"}}
    found = report({"result": "rolled-back", "transactions": ends}, {"type": "locked"})
    assert [(f.deployment, f.message, f.undone) for f in found.failures] == [("chat", "chat failed on another host", True)]


def test_what_falls_with_a_failed_step_is_not_said_again() -> None:
    ends = {
        "model:m": {"state": "undone", "step": "model/m", "message": "no room"},
        "chat": {"state": "undone", "message": "it needs model:m, which failed"},
    }
    found = report({"result": "rolled-back", "transactions": ends}, {"type": "locked"})
    assert [f.message for f in found.failures] == ["no room"]


def test_a_run_that_nobody_here_stopped_says_what_stopped_it() -> None:
    ends = {"chat": {"state": "kept", "message": "nobody opened the barrier switch in time"}}
    found = report({"result": "stopped", "transactions": ends}, {"type": "locked"})
    assert (found.exit_code, found.failures) == (130, ())
    assert found.hosts["a"].message == "nobody opened the barrier switch in time"


def test_an_error_without_words_while_bytes_are_brought_is_named_by_its_kind() -> None:
    events: list[Event] = []
    found = Follower(cast("Pool", None), events.append, Control(), Patience())
    found.conductor.add(["a"])
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    found._inbox = inbox

    def nothing() -> None:
        next(iter(()))

    found.feed("a", nothing)
    assert inbox.get(timeout=20).error.what == "unexpected: StopIteration"
