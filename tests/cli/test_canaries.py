"""A canary through the command line, on simulated hosts that run the real agent."""

import json

import pytest

from deployer.render.names import route_path
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]

CANARY = "tags: [prod]\nrollout: {strategy: canary, canary: {share: 20%, watch: 1m}}"


@pytest.fixture
def chat(bench: Bench) -> Bench:
    """One replica runs on h1; the next edit is tried by a canary."""
    bench.edit("tags: [prod]", CANARY)
    assert bench("apply", "--yes").code == 0
    bench.edit("ctranslate2: {}", "ctranslate2: {max_model_len: 64}")
    return bench


def engines(bench: Bench) -> list[str]:
    return [unit for host in bench.hosts.values() for unit in host.running() if "gateway" not in unit]


def test_it_stands_beside_the_old_one_and_ci_leaves_it_alone(chat: Bench) -> None:
    (old,) = engines(chat)
    done = chat("apply", "--yes")
    assert done.code == 0, done.err
    assert "deployer promote chat" in done.err
    assert old in engines(chat)
    assert len(engines(chat)) == 2
    assert chat("plan", "--detailed-exitcode").code == 0
    assert "20% of the requests go to chat/1" in chat("plan").out
    assert "20% of the requests go to chat/1" in chat("status").out
    (status,) = chat.json("status")["deployments"]
    assert (status["canary"]["slot"], status["canary"]["base"], status["canary"]["share"]) == (1, 1, "20%")
    assert [replica["state"] for replica in status["replicas"]] == ["deployed", "deployed"]
    config = chat.hosts["h1"].path(route_path("acme", "chat")).read_text()
    assert "rand(100) lt 20" in config


def test_promoted_all_are_new(chat: Bench) -> None:
    (old,) = engines(chat)
    assert chat("apply", "--yes").code == 0
    done = chat("promote", "chat", "--yes")
    assert done.code == 0, done.err
    (new,) = engines(chat)
    assert new != old
    assert chat("plan", "--detailed-exitcode").code == 0
    assert chat.json("status")["deployments"][0]["canary"] is None
    assert chat("promote", "chat", "--yes").code == 4


def test_reverted_the_old_one_is_held(chat: Bench) -> None:
    before = engines(chat)
    assert chat("apply", "--yes").code == 0
    done = chat("revert", "chat", "--yes", "--why", "slower answers")
    assert done.code == 0, done.err
    assert engines(chat) == before
    assert chat("plan", "--detailed-exitcode").code == 0
    hold = chat.json("status")["deployments"][0]["hold"]
    assert (hold["kind"], hold["revision"], hold["why"]) == ("rolled-back", 1, "slower answers")
    assert chat("apply", "--yes").code == 0
    assert engines(chat) == before


def test_one_that_fails_more_often_goes_by_itself_and_the_cause_is_in_numbers(chat: Bench) -> None:
    before = chat.serving()
    chat.each(lambda host: host.traffic("chat-0", 40))
    chat.each(lambda host: host.traffic("chat-1", 10, failed=5))
    done = chat("apply", "--yes")
    assert done.code == 5
    assert "the canary is clearly worse" in done.out + done.err
    assert "requests failed" in done.out
    assert "stop chat/0" not in done.err
    assert chat.serving() == before
    assert chat.json("status")["deployments"][0]["canary"] is None


def test_one_that_answers_slower_goes_too(chat: Bench) -> None:
    before = chat.serving()
    chat.each(lambda host: host.traffic("chat-0", 40, ms=100))
    chat.each(lambda host: host.traffic("chat-1", 10, ms=900))
    assert chat("apply", "--yes").code == 5
    assert chat.serving() == before


def test_one_that_does_not_start_never_gets_a_request(chat: Bench) -> None:
    before = chat.serving()
    chat.each(lambda host: host.break_engine("chat-1", "ERROR out of memory"))
    assert chat("apply", "--yes").code == 5
    assert chat.serving() == before


def test_a_good_one_is_promoted_by_itself_where_the_files_say_so(chat: Bench) -> None:
    (old,) = engines(chat)
    chat.edit("watch: 1m", "watch: 1m, promote: auto")
    chat.each(lambda host: host.traffic("chat-0", 40))
    chat.each(lambda host: host.traffic("chat-1", 10))
    done = chat("apply", "--yes")
    assert done.code == 0, done.err
    assert "it is promoted now" in done.err
    assert "its canary stands" not in done.err
    (new,) = engines(chat)
    assert new != old
    assert chat("plan", "--detailed-exitcode").code == 0


def test_with_too_few_requests_nothing_is_judged_and_nothing_goes_on_by_itself(chat: Bench) -> None:
    chat.edit("watch: 1m", "watch: 1m, promote: auto")
    lines = [json.loads(line) for line in chat("apply", "--yes", "--json").out.splitlines()]
    watched = [line["message"] for line in lines if line.get("state") == "done" and "is watched" in str(line.get("label"))]
    assert len(watched) == 1
    assert "too few requests to judge it" in watched[0]
    assert lines[-1]["exit_code"] == 0
    assert len(engines(chat)) == 2


def test_there_is_nothing_to_promote_or_to_revert_where_none_stands(bench: Bench) -> None:
    assert bench("apply", "--yes").code == 0
    for word in ("promote", "revert"):
        done = bench(word, "chat", "--yes")
        assert done.code == 4
        assert "no canary of chat stands" in done.err
    assert bench("promote", "chut", "--yes").code == 64


BEGIN = ("file.write", "unit.start", "unit.ready", "gateway.reload", "endpoint.ready", "canary.watch", "unit.enable", "record")


@pytest.mark.parametrize("kind", BEGIN)
def test_wherever_it_fails_the_old_one_serves_on_and_the_next_apply_brings_it(chat: Bench, kind: str) -> None:
    before = chat.serving()
    chat.hosts["h1"].faults.fail(kind)
    assert chat("apply", "--yes").code == 5
    assert chat.serving() == before
    assert chat.json("status")["deployments"][0]["canary"] is None
    chat.hosts["h1"].faults.clear()
    assert chat("apply", "--yes").code == 0
    assert len(engines(chat)) == 2
    assert chat("plan", "--detailed-exitcode").code == 0


ENDS = [(word, kind) for word in ("promote", "revert") for kind in ("gateway.reload", "unit.stop", "record")]


@pytest.mark.parametrize(("word", "kind"), [*ENDS, ("promote", "unit.start")])
def test_wherever_its_end_fails_it_stands_as_before_and_can_be_ended_again(chat: Bench, word: str, kind: str) -> None:
    assert chat("apply", "--yes").code == 0
    before = chat.serving()
    chat.hosts["h1"].faults.fail(kind)
    assert chat(word, "chat", "--yes").code == 5
    assert chat.serving() == before
    assert chat.json("status")["deployments"][0]["canary"]["slot"] == 1
    chat.hosts["h1"].faults.clear()
    assert chat(word, "chat", "--yes").code == 0
    assert len(engines(chat)) == 1
    assert chat("plan", "--detailed-exitcode").code == 0


def test_a_host_that_dies_while_it_watches_is_undone_by_the_next_apply_which_brings_it_again(chat: Bench) -> None:
    (old,) = engines(chat)
    chat.hosts["h1"].faults.kill("canary.watch")
    assert chat("apply", "--yes").code != 0
    assert old in engines(chat)
    assert chat("apply", "--yes").code == 0
    assert chat("apply", "--yes").code == 0
    assert len(engines(chat)) == 2
    assert chat.json("status")["deployments"][0]["canary"]["slot"] == 1
    assert chat("plan", "--detailed-exitcode").code == 0
