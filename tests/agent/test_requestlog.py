"""The file of a replica's records, read while it grows."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from deployer.agent import requestlog
from deployer.agent.system import System


def line(number: int) -> str:
    return f'{{"at": "2026-03-01T08:00:0{number}Z"}}'


def following(file: Path) -> Any:
    system: Any = SimpleNamespace(path=lambda path: path, sleep=lambda _: None)
    kind: System = system
    return requestlog.read(kind, {"u": str(file)}, 10, None, True)


def test_a_line_that_is_half_there_comes_once_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(line(1) + "\n" + line(2)[:9])
    coming = following(file)
    assert next(coming)[2] == line(1)
    with file.open("a") as stream:
        stream.write(line(2)[9:] + "\n")
    assert next(coming)[2] == line(2)
    assert next(coming) is None


def test_a_file_that_grows_while_its_end_is_read_is_read_once(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(line(1) + "\n")
    stat = os.stat

    def grown(path: Any, *args: Any, **more: Any) -> os.stat_result:
        found = stat(path, *args, **more)
        if str(path) == str(file) and file.read_text().count("\n") == 1:
            with file.open("a") as stream:
                stream.write(line(2) + "\n")
        return found

    monkeypatch.setattr(os, "stat", grown)
    coming = following(file)
    said = [one[2] for one in (next(coming) for _ in range(3)) if one is not None]
    with file.open("a") as stream:
        stream.write(line(3) + "\n")
    said += [one[2] for one in (next(coming) for _ in range(2)) if one is not None]
    assert [*dict.fromkeys(said)] == said
    assert {line(1), line(3)} <= set(said)


def test_between_two_files_the_old_one_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    (tmp_path / "requests.jsonl.1").write_text(line(1) + "\n")
    coming = following(file)
    assert next(coming)[2] == line(1)
    assert next(coming) is None
    file.write_text(line(2) + "\n")
    assert next(coming)[2] == line(2)


def test_a_record_with_odd_ends_of_lines_in_its_text_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    odd = '{"at": "2026-03-01T08:00:01Z", "request": "a\u2028b\x85c"}'
    file.write_text(odd + "\n", encoding="utf-8")
    coming = following(file)
    assert next(coming)[2] == odd
    with file.open("a", encoding="utf-8") as stream:
        stream.write(odd + "\n")
    assert next(coming)[2] == odd
    assert next(coming) is None


def test_a_file_that_is_turned_several_times_between_two_looks_is_read_to_its_end(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(line(1) + "\n")
    coming = following(file)
    assert [next(coming)[2], next(coming)] == [line(1), None]
    with file.open("a") as stream:
        stream.write(line(2) + "\n")
    for number in (3, 4, 5):
        turn(file)
        file.write_text(line(number) + "\n")
    assert [next(coming)[2] for _ in range(4)] == [line(number) for number in (2, 3, 4, 5)]
    assert next(coming) is None
    turn(file)
    file.write_text(line(6) + "\n")
    opened = requestlog._turned

    def turned_meanwhile(*asked: Any) -> list[str]:
        turn(file)
        file.write_text(line(7) + "\n")
        return opened(*asked)

    monkeypatch.setattr(requestlog, "_turned", turned_meanwhile)
    assert next(coming)[2] == line(6)
    assert next(coming) is None
    monkeypatch.undo()
    assert next(coming)[2] == line(7)


def turn(file: Path) -> None:
    """As deployer/handler/sinks.py does."""
    old = sorted(file.parent.glob(f"{file.name}.*"), key=lambda path: int(path.suffix[1:]), reverse=True)
    for path in [*old, file]:
        number = 0 if path == file else int(path.suffix[1:])
        path.rename(file.with_name(f"{file.name}.{number + 1}"))
