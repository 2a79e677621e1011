"""A running verb: its lines, its errors, and how its end is told from a broken link."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.agent.plain import plain_values
from deployer.errors import DeployerError, Unreachable
from deployer.transport.local import LocalRunning
from deployer.transport.verb import VerbChannel
from tests.transport.scripted import Scripted

END = b'{"type":"end"}\n'


def test_lines_end_with_the_end() -> None:
    channel = VerbChannel("h", Scripted([(b'{"type":"a"}\n{"ty', b""), (b'pe":"b"}\n' + END + b'{"type":"late"}\n', b"")]))
    assert [line["type"] for line in channel.lines()] == ["a", "b", "end"]


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=6), st.integers(1, 9))
def test_lines_do_not_depend_on_how_the_network_cuts_them(values: list[dict[str, str]], size: int) -> None:
    lines = [{"type": "x", "value": plain_values(value)} for value in values] + [{"type": "end"}]
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    pieces = [(data[i : i + size], b"") for i in range(0, len(data), size)]
    assert list(VerbChannel("h", Scripted(pieces)).lines()) == lines


def test_the_agents_error_is_raised_with_its_hint() -> None:
    channel = VerbChannel("h", Scripted([(b'{"type":"error","message":"no room","hint":"make some"}\n', b"")]))
    with pytest.raises(DeployerError, match="no room") as e:
        list(channel.lines())
    assert (e.value.where, e.value.hint) == ("h", "make some")
    assert not isinstance(e.value, Unreachable)


def test_a_crash_shows_the_last_line_of_its_traceback() -> None:
    channel = VerbChannel("h", Scripted([(b"", b"Traceback ...\nValueError: bug\n")], status=1))
    with pytest.raises(DeployerError, match=r"ended \(exit status 1\) without an answer: ValueError: bug"):
        list(channel.lines())


def test_a_killed_agent_is_said_to_be_killed() -> None:
    with pytest.raises(DeployerError, match=r"was killed \(signal 9\)"):
        list(VerbChannel("h", Scripted(status=137)).lines())


def test_a_broken_link_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="connection was lost"):
        list(VerbChannel("h", Scripted(lost=True)).lines())


def test_after_close_lines_end_quietly() -> None:
    channel = VerbChannel("h", Scripted([(b"", b"")]))
    channel.close()
    assert list(channel.lines()) == []


def test_when_the_agent_ends_instead_of_reading_its_reason_is_raised() -> None:
    def gone(running: Scripted, data: bytes) -> None:
        raise BrokenPipeError

    running = Scripted([(b'{"type":"error","message":"the disk is full"}\n', b"")], on_write=gone)
    with pytest.raises(DeployerError, match="the disk is full"):
        VerbChannel("h", running).send_bytes(b"x" * 100)


def test_a_local_process_takes_and_gives_much_without_loss() -> None:
    code = (
        "import sys, hashlib, json; d = sys.stdin.buffer.read(8 << 20); sys.stderr.write('e' * 300000)\n"
        "print(json.dumps({'type': 'sum', 'it': hashlib.sha256(d).hexdigest()})); print(json.dumps({'type': 'end'}))"
    )
    running = LocalRunning(["python3", "-c", code])
    channel = VerbChannel("here", running)
    data = bytes(range(256)) * (32 << 10)
    channel.send_bytes(data)
    assert [line.get("it") for line in channel.lines()] == [hashlib.sha256(data).hexdigest(), None]
    channel.close()


def test_a_local_process_that_dies_is_told_from_one_that_ends() -> None:
    running = LocalRunning(["sh", "-c", "kill -9 $$"])
    with pytest.raises(DeployerError, match=r"was killed \(signal 9\)"):
        list(VerbChannel("here", running).lines())
    running.close()


def test_raw_bytes_come_after_the_line_that_announces_them_however_the_network_cuts_it() -> None:
    data = b'{"type":"giving","size":9}\nab\n{"c"}\n' + END
    for size in (1, 5, 30, len(data)):
        channel = VerbChannel("h", Scripted([(data[i : i + size], b"") for i in range(0, len(data), size)]))
        assert next(channel.lines())["size"] == 9
        got = b""
        while len(got) < 9:
            got += channel.read_bytes(9 - len(got))
        assert got == b'ab\n{"c"}\n'
        assert [line["type"] for line in channel.lines()] == ["end"]


def test_bytes_that_end_too_early_are_a_broken_connection() -> None:
    channel = VerbChannel("h", Scripted([(b'{"type":"giving","size":9}\nab', b"")], lost=True))
    assert next(channel.lines())["size"] == 9
    assert channel.read_bytes(9) == b"ab"
    with pytest.raises(Unreachable):
        channel.read_bytes(7)


@pytest.mark.timeout(15)
def test_bytes_are_not_waited_for_after_close() -> None:
    channel = VerbChannel("h", Scripted([(b'{"type":"giving","size":9}\n', b"")]))
    assert next(channel.lines())["size"] == 9
    channel.close()
    with pytest.raises(Unreachable, match="was closed"):
        channel.read_bytes(9)


def test_a_real_agent_gives_the_files_of_a_model_and_nothing_else(tmp_path: Path) -> None:
    path, data = tmp_path / "model", bytes(range(256)) * 5000
    path.mkdir()
    (path / "model.bin").write_bytes(data)
    (path / "other").write_bytes(b"not listed")
    files = {"model.bin": {"size": len(data), "digest": "sha256:" + hashlib.sha256(data).hexdigest()}}
    (path / ".deployer.json").write_text(json.dumps({"kind": "model", "digest": "abc", "files": files}))
    asked = {"fleet": {"id": "0123abcd", "name": "acme"}, "path": str(path), "digest": "abc"}

    def opened(**more: object) -> VerbChannel:
        channel = VerbChannel("here", LocalRunning([sys.executable, "-m", "deployer.agent", "give"]))
        channel.send({**asked, **more})
        return channel

    listing = opened()
    assert next(listing.lines())["files"] == [{"path": "model.bin", **files["model.bin"]}]
    listing.close()
    channel, got = opened(file="model.bin", offset=7), b""
    assert next(channel.lines())["size"] == len(data) - 7
    while len(got) < len(data) - 7:
        got += channel.read_bytes(min(1 << 16, len(data) - 7 - len(got)))
    assert got == data[7:]
    assert [line["type"] for line in channel.lines()] == ["end"]
    channel.close()
    for wrong in ({"file": "other"}, {"file": "../model/model.bin"}, {"digest": "abd"}, {"path": str(tmp_path)}):
        refused = opened(**wrong)
        with pytest.raises(DeployerError):
            list(refused.lines())
        refused.close()
