"""Updates on simulated hosts that run the real agent: the old one serves until the new one has answered, or comes back."""

import json
import re

import pytest

from deployer.transport.fake import FakeHost
from tests.cli.fakehosts import Bench, bench

__all__ = ["bench"]


@pytest.fixture
def chat(bench: Bench) -> Bench:
    """One replica runs on h1; the next edit wants a new process."""
    assert bench("apply", "--yes").code == 0
    bench.edit("ctranslate2: {}", "ctranslate2: {max_model_len: 64}")
    return bench


def engines(bench: Bench) -> list[str]:
    return [unit for host in bench.hosts.values() for unit in host.running() if "gateway" not in unit]


def steps(bench: Bench, *words: str) -> list[tuple[str, str]]:
    """(state, label) of what an apply says."""
    lines = [json.loads(line) for line in bench("apply", "--yes", "--json", *words).out.splitlines()]
    return [(line["state"], line["label"]) for line in lines if line["type"] == "step"]


def test_the_new_one_serves_before_the_old_one_stops(chat: Bench) -> None:
    (old,) = engines(chat)
    assert json.loads(chat("plan", "--json").out)["rollouts"]["chat"]["strategy"] == "blue_green"
    done = [label for state, label in steps(chat) if state == "done"]
    assert done.index("the endpoint answers") < done.index("stop chat/0")
    (new,) = engines(chat)
    assert new != old
    assert chat("plan", "--detailed-exitcode").code == 0


def hang_gateway(host: FakeHost) -> None:
    def silent(_path: str, _line: str, timeout: float = 5.0) -> bytes:
        host.machine.sleep(timeout)
        raise TimeoutError("timed out")

    host.machine.ask_socket = silent  # type: ignore[assignment]


CUT = r"after 6\d s the gateway could still not be asked whether requests run there: some may have been cut"


def test_where_the_gateway_cannot_be_asked_a_drain_ends_at_its_deadline_and_a_person_hears_of_it(chat: Bench) -> None:
    """The update is done: nobody is better served by an old one that stays for ever."""
    (old,) = engines(chat)
    chat.edit("tags: [prod]", "tags: [prod]\nrollout: {drain_deadline: 60s}")
    chat.each(hang_gateway)
    done = chat("apply", "--yes")
    assert done.code == 0
    assert re.search(f"h1  chat: {CUT}\n", done.out), "with what came of it"
    assert re.search(f"h1  requests on the old chat/0 end: {CUT}\n", done.err), "and at once"
    assert engines(chat) != [old]


def test_a_program_reads_which_drain_could_not_be_seen(chat: Bench) -> None:
    chat.edit("tags: [prod]", "tags: [prod]\nrollout: {drain_deadline: 60s}")
    chat.each(hang_gateway)
    lines = [json.loads(line) for line in chat("apply", "--yes", "--json").out.splitlines()]
    assert [line["label"] for line in lines if (line.get("data") or {}).get("warn")] == ["requests on the old chat/0 end"]
    (note,) = lines[-1]["notes"]
    assert re.fullmatch(f"h1  chat: {CUT}", note)


def test_a_new_one_that_fails_never_touches_the_old(chat: Bench) -> None:
    before, old = chat.serving(), engines(chat)
    chat.each(lambda host: host.break_engine("chat-0", "ERROR out of memory"))
    done = chat("apply", "--yes")
    assert done.code == 5
    assert "stop chat/0" not in done.err
    assert chat.serving() == before
    chat.each(lambda host: host.mend_engines())
    assert chat("apply", "--yes").code == 0
    assert engines(chat) != old
    assert chat("plan", "--detailed-exitcode").code == 0


def test_replicas_without_room_beside_them_are_replaced_in_turn(chat: Bench) -> None:
    chat.edit("max_model_len: 64", "max_model_len: 32")
    chat.edit("tags: [prod]", "tags: [prod]\nreplicas: 2\nplacement: {hosts: [h1]}")
    assert chat("apply", "--yes").code == 0
    old = engines(chat)
    chat.edit("max_model_len: 32", "max_model_len: 64")
    chat.edit("replicas: 2", "replicas: 2\nrollout: {strategy: rolling}")
    done = [label for state, label in steps(chat) if state == "done"]
    assert [label for label in done if label.startswith(("stop", "start", "note"))] == [
        "stop chat/0",
        "start chat/0",
        "note the revision",
        "stop chat/1",
        "start chat/1",
        "note the revision",
    ]
    assert len(engines(chat)) == 2
    assert not set(engines(chat)) & set(old)
    assert chat("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("revert", [True, False])
def test_a_rolling_update_that_fails_in_its_second_wave(chat: Bench, revert: bool) -> None:
    rollout = f"rollout: {{strategy: rolling, min_healthy: 0s, auto_revert: {str(revert).lower()}}}"
    chat.edit("tags: [prod]", f"tags: [prod]\nreplicas: 2\nplacement: {{hosts: [h1]}}\n{rollout}")
    assert chat("apply", "--yes").code == 0
    old = engines(chat)
    chat.edit("max_model_len: 64", "max_model_len: 32")
    planned = {c["resource"]: c for c in json.loads(chat("plan", "--json").out)["changes"]}
    unit = planned["replica:chat/1"]["after"]["payload"]["unit"]
    chat.each(lambda host: host.break_engine(unit, "ERROR out of memory"))
    done = chat("apply", "--yes")
    assert done.code == 5
    assert len(engines(chat)) == 2
    chat.each(lambda host: host.mend_engines())
    left = [c["resource"] for c in chat.json("plan")["changes"] if c["kind"] == "replica"]
    if revert:  # the first one goes back as well, and no hold keeps the next try from being made
        assert "they go back as well" in done.err
        assert engines(chat) == old
        assert left == ["replica:chat/0", "replica:chat/1"]
    else:
        assert len(set(engines(chat)) & set(old)) == 1
        assert left == ["replica:chat/1"]


def test_after_a_failure_hosts_remember_where_the_replica_stands(chat: Bench) -> None:
    def slot() -> object:
        (host,) = [h for h in chat.hosts.values() if any("chat" in unit for unit in h.running())]
        return json.loads(host.path("/var/lib/deployer/acme/roster.json").read_text())["slots"]["chat"]["0"]

    before = slot()
    chat.each(lambda host: host.break_engine("chat-0", "ERROR out of memory"))
    assert chat("apply", "--yes").code == 5
    assert slot() == before


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("unit.ready", None),
        ("file.write", "10-chat.cfg"),
        ("gateway.reload", None),
        ("endpoint.ready", None),
        ("unit.steady", None),
        ("unit.stop", None),
        ("record", None),
    ],
)
def test_a_host_that_goes_down_in_an_update_beside_comes_back_with_one_that_clients_reach(
    chat: Bench, kind: str, label: str | None
) -> None:
    (host,) = [host for host in chat.hosts.values() if any("chat" in unit for unit in host.running())]
    assert answers(host) == 200
    host.faults.cut_power(kind, label)
    assert chat("apply", "--yes").code == 6
    host.reboot()
    assert answers(host) == 200, "nobody is there, and only a person's next apply would bring one"
    assert chat("apply", "--yes").code == 0
    assert len(engines(chat)) == 1
    assert answers(host) == 200


def answers(host: FakeHost) -> int:
    (gateway,) = [unit for unit in host.machine.units.known.values() if unit.gateway is not None]
    (port,) = gateway.ports[:1]
    url, body = f"http://127.0.0.1:{port}/chat/v1/chat/completions", {"messages": [], "model": "chat"}
    return host.machine.http("POST", url, {}, json.dumps(body).encode())[0]
