"""put, logs, roster, runs, and requests that make no sense."""

import io
import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.agent import give, lock, wire
from deployer.agent.logs import _argv, parse
from deployer.agent.main import serve
from deployer.agent.talk import Talk
from deployer.errors import DeployerError, Unreachable
from deployer.transport.fake import FakeHost
from tests.agent.support import FLEET, MODEL, OTHER, Run, ask, connect, deployment, marked, run_request, sha256, unit_name

DATA = bytes(range(256)) * 1000


def request(data: bytes = DATA) -> dict[str, Any]:
    return {"fleet": FLEET, "blobs": [{"sha256": sha256(data), "size": len(data)}]}


def test_bytes_arrive_whole_and_are_not_asked_for_twice(host: FakeHost) -> None:
    channel = connect(host).open("put", request())
    lines = channel.lines()
    assert next(lines) == {"type": "want", "sha256": sha256(DATA), "offset": 0}
    channel.send_bytes(DATA)
    assert next(lines)["type"] == "stored"
    assert host.path(f"{wire.ROOT_BLOBS}/{sha256(DATA)}").read_bytes() == DATA
    assert ask(host, "put", request()) == [{"type": "have", "sha256": sha256(DATA)}]


def test_a_cut_transfer_goes_on_where_it_broke(host: FakeHost) -> None:
    channel = connect(host).open("put", request())
    lines = channel.lines()
    next(lines)
    channel.send_bytes(DATA[:100_000])
    channel.done_sending()
    with pytest.raises(DeployerError, match="ended after 100000 of 256000"):
        next(lines)
    again = connect(host).open("put", request())
    rest = again.lines()
    assert next(rest)["offset"] == 100_000
    again.send_bytes(DATA[100_000:])
    assert next(rest)["type"] == "stored"


def test_wrong_bytes_are_thrown_away_and_said(host: FakeHost) -> None:
    channel = connect(host).open("put", request())
    lines = channel.lines()
    next(lines)
    channel.send_bytes(b"x" * len(DATA))
    with pytest.raises(DeployerError, match="thrown away"):
        next(lines)
    assert list(host.path(wire.ROOT_BLOBS).iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, ""])
def test_a_blob_is_named_by_a_digest_and_nothing_else(host: FakeHost, name: str) -> None:
    with pytest.raises(DeployerError, match="not a SHA-256"):
        ask(host, "put", {"fleet": FLEET, "blobs": [{"sha256": name, "size": 1}]})


def test_a_file_that_is_shorter_than_it_was_is_said_before_a_byte_of_it(host: FakeHost) -> None:
    marked(host, MODEL, "model", files={"model.bin": {"size": 10, "digest": "sha256:" + sha256(b"0123456789")}})
    host.path(f"{MODEL}/model.bin").write_bytes(b"0123")
    with pytest.raises(DeployerError, match=r"model\.bin of .* is shorter than it was") as said:
        ask(host, "give", {"fleet": FLEET, "path": MODEL, "digest": "d", "file": "model.bin"})
    assert not isinstance(said.value, Unreachable)


def test_a_file_that_becomes_shorter_puts_no_words_among_its_bytes(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data = b"x" * 40_000
    marked(host, MODEL, "model", files={"model.bin": {"size": len(data), "digest": "sha256:" + sha256(data)}})
    file = host.path(f"{MODEL}/model.bin")
    file.write_bytes(data)
    monkeypatch.setattr(give, "CHUNK", 10_000)
    asked = {"fleet": FLEET, "path": MODEL, "digest": "d", "file": "model.bin"}
    out = io.BytesIO()

    class Cutting(Talk):
        def send(self, data: bytes) -> None:
            super().send(data)
            if data.startswith(b"x"):
                os.truncate(file, 0)

    assert serve(host.machine, "give", Cutting(io.BytesIO(json.dumps(asked).encode() + b"\n"), out)) == 0
    line, _, sent = out.getvalue().partition(b"\n")
    assert json.loads(line) == {"type": "giving", "size": len(data)}
    assert set(sent) == set(b"x")
    assert len(sent) < len(data)
    assert "model.bin became shorter" in capfd.readouterr().err


def test_a_roster_is_replaced_only_by_a_newer_one(host: FakeHost) -> None:
    def write(generation: int, fleet: wire.Fleet = FLEET) -> dict[str, Any]:
        return ask(host, "roster", {"fleet": fleet, "roster": {"generation": generation}})[0]

    assert write(3) == {"type": "roster", "written": True, "generation": 3, "holds": True}
    assert write(2) == {"type": "roster", "written": False, "generation": 3, "holds": True}
    assert write(4)["written"] is True
    assert json.loads(host.path("/var/lib/deployer/acme/roster.json").read_text())["generation"] == 4
    with pytest.raises(DeployerError, match="another fleet"):
        write(9, {"id": "deadbeef", "name": "acme"})


def test_logs_are_those_of_this_fleets_units(host: FakeHost) -> None:
    host.slow_engine("aaaa0001", "loading", "warm")
    Run(host, run_request(deployment()))
    Run(host, run_request(fleet=OTHER))
    lines = ask(host, "logs", {"fleet": FLEET, "units": [unit_name()], "lines": 2, "follow": False, "since": None})
    assert [(line["unit"], line["text"]) for line in lines] == [(unit_name(), "loading"), (unit_name(), "warm")]
    with pytest.raises(DeployerError, match="not a unit of the fleet"):
        ask(host, "logs", {"fleet": FLEET, "units": ["ssh.service"], "lines": 1})


def test_followed_logs_come_as_they_are_said_until_the_channel_closes(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    channel = connect(host).open("logs", {"fleet": FLEET, "units": [unit_name()], "lines": 100, "follow": True})
    lines = (line for line in channel.lines() if line["type"] == "log")
    assert next(lines)["text"].startswith("starting")
    host.machine.units.say(host.machine.units.unit(unit_name()), "said later")
    assert next(lines)["text"] == "said later"
    channel.close()
    assert list(lines) == []


def test_records_of_requests_are_read_from_files_and_followed_over_a_rotation(host: FakeHost) -> None:
    folder = host.path("/var/log/deployer/acme/chat/0")
    folder.mkdir(parents=True)
    file = folder / "requests.jsonl"

    def record(number: int) -> str:
        return json.dumps({"at": f"2026-11-20T12:00:{number:02d}.000Z", "id": number}) + "\n"

    (folder / "requests.jsonl.1").write_text(record(1) + record(2))
    file.write_text(record(3))
    request = {"fleet": FLEET, "units": [unit_name()], "files": {unit_name(): "chat/0"}, "requests": True}
    assert [json.loads(line["text"])["id"] for line in ask(host, "logs", {**request, "lines": 2})] == [2, 3]
    channel = connect(host).open("logs", {**request, "lines": 1, "follow": True})
    lines = (json.loads(line["text"])["id"] for line in channel.lines() if line["type"] == "log")
    assert next(lines) == 3
    with file.open("a") as out:
        out.write(record(4))
    file.rename(folder / "requests.jsonl.1")
    file.write_text(record(5) + record(6)[:-5])
    assert [next(lines), next(lines)] == [4, 5]
    with file.open("a") as out:
        out.write(record(6)[-5:])
    assert next(lines) == 6
    channel.close()
    with pytest.raises(DeployerError, match="not a replica's directory"):
        ask(host, "logs", {**request, "files": {unit_name(): "../../../etc/shadow"}})


def test_what_is_asked_of_the_journal_tells_requests_from_the_engines_lines() -> None:
    request = {"units": [unit_name()], "lines": 5}
    assert _argv(FLEET, {**request, "requests": True})[-1] == "SYSLOG_FACILITY=16"
    hidden = _argv(FLEET, {**request, "logged": True})[-1]
    assert hidden.startswith("--facility=0,1,2,3,")
    assert "16" not in hidden.partition("=")[2].split(",")
    assert not any("acilit" in word.lower() for word in _argv(FLEET, request))


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        ({"MESSAGE": "plain"}, ["plain"]),
        ({"MESSAGE": "a\rb\rc 3/4"}, ["c 3/4"]),
        ({"MESSAGE": [104, 105, -61, 255]}, ["hi\ufffd\ufffd"]),
        ({"MESSAGE": "\x1b[32mgreen\x1b[0m"}, ["green"]),
        ({"MESSAGE": "\x1b[2K\x1b[1A\x1b[?25l\x1b[38:5:1mred\x1b[m"}, ["red"]),
        ({"MESSAGE": "a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1bPq#0\x1b\\d\x9b31me\x9d52;c;eA==\x9cf"}, ["abcdef"]),
        ({"MESSAGE": "\x1bc\x1b(B\x1b7r\x07i\x08n\x00g\x7f\x85"}, ["ring"]),
        ({"MESSAGE": "half \x1b]0;a title without end"}, ["half 0;a title without end"]),
        ({"MESSAGE": "10 %\rdone\x1b[K\r\x1b[K"}, ["done"]),
        ({"MESSAGE": "a\tb\r\x1b[0m\r"}, ["a\tb"]),
        ({"MESSAGE": "\x1b[0m"}, []),
        ({"MESSAGE": None}, []),
        ({"MESSAGE": "two\nlines"}, ["two", "lines"]),
    ],
)
def test_a_journal_entry_gives_the_text_a_person_would_see(entry: dict[str, Any], lines: list[str]) -> None:
    found = parse(json.dumps({"__REALTIME_TIMESTAMP": "1000000", **entry}).encode())
    assert found is not None
    assert found["lines"] == lines


@settings(max_examples=200)
@given(text=st.text("\x1b\x9b\x9d\x9c\x90\x07\r\n\t\x00[]P\\;0mK a\x85", max_size=40))
def test_no_line_of_a_log_can_tell_a_terminal_anything(text: str) -> None:
    found = parse(json.dumps({"MESSAGE": text}).encode())
    assert found is not None
    assert all(one.isprintable() for line in found["lines"] for one in line.replace("\t", ""))


@settings(max_examples=50)
@given(line=st.binary(max_size=200))
def test_no_first_line_brings_the_agent_down_silently(line: bytes) -> None:
    from deployer.agent.main import serve
    from deployer.agent.talk import Talk
    from deployer.transport.simulation.pipes import Pipe

    given_in, out = Pipe(), Pipe()
    given_in.write(line.replace(b"\n", b" ") + b"\n")
    given_in.end()
    assert serve(_NOWHERE.machine, "probe", Talk(given_in, out)) == 1  # type: ignore[arg-type]
    assert json.loads(out.readline())["type"] == "error"


_NOWHERE = FakeHost("nowhere")


def test_an_unknown_verb_is_an_error_with_a_word(host: FakeHost) -> None:
    with pytest.raises(DeployerError, match="knows no verb 'frobnicate'"):
        ask(host, "frobnicate", {"fleet": FLEET})


def test_an_unknown_run_is_an_error_with_a_word(host: FakeHost) -> None:
    with pytest.raises(DeployerError, match="knows no run r-9"):
        ask(host, "attach", {"fleet": FLEET, "run": "r-9", "offset": 0})
    with pytest.raises(DeployerError, match="not the id of a run"):
        ask(host, "attach", {"fleet": FLEET, "run": "../../x", "offset": 0})


def test_runs_of_another_fleet_are_not_listed(host: FakeHost) -> None:
    Run(host, run_request(deployment()))
    Run(host, run_request(fleet=OTHER))
    listed = ask(host, "runs", {"fleet": FLEET})[0]["runs"]
    assert [(one["fleet"], one["deployments"]) for one in listed] == [(FLEET["id"], ["chat"])]


def test_two_rosters_at_once_leave_the_newer(host: FakeHost) -> None:
    def write(generation: int) -> None:
        ask(host, "roster", {"fleet": FLEET, "roster": {"generation": generation}})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(host.path("/var/lib/deployer/acme/roster.json").read_text())["generation"] == 8


def test_who_holds_the_lock_is_read_also_while_it_is_being_written(host: FakeHost) -> None:
    held = lock.take(host.machine, {"who": "ada", "doing": "a long thing"})
    assert held is not None
    path = host.path(wire.LOCK)
    path.write_bytes(b'{"who": "ada"}' + path.read_bytes()[14:])  # written, and not yet cut
    assert lock.holder(host.machine) == {"who": "ada"}
    held.release()
    assert lock.holder(host.machine) is None


def test_a_verb_that_listened_to_the_controller_ends_well_while_that_still_could_speak() -> None:
    code = (
        "from deployer.agent import main\n"
        "main.VERBS['attach'] = lambda system, request, talk: talk.words() and None\n"
        "raise SystemExit(main.main())"
    )
    with subprocess.Popen([sys.executable, "-c", code, "attach"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdin is not None
        assert agent.stdout is not None
        agent.stdin.write(b"{}\n")
        agent.stdin.flush()
        assert json.loads(agent.stdout.readline()) == {"type": "end"}
        assert agent.wait(20) == 0, "an abort leaves a core dump on the host at the end of each apply"
