"""The files of a change, before and after: what is paired with what, and which lines are shown."""

from typing import Any

from deployer.plan.filetexts import DiffLine, FileText, compared, written
from deployer.plan.model import Change
from deployer.state.resources import Kind, Resource


def resource(**files: str) -> Resource:
    listed: list[dict[str, Any]] = [{"path": f"/etc/{path}", "content": content} for path, content in files.items()]
    return Resource("h1", Kind.REPLICA, "chat/0", payload={"files": listed})


def change(before: Resource | None, after: Resource | None) -> Change:
    return Change("c", "h1", Kind.REPLICA, "chat/0", "chat", ("update",), "", before=before, after=after)


def unit(name: str, content: str) -> Resource:
    return resource()._replace(payload={"files": [{"path": f"/etc/systemd/system/{name}.service", "content": content}]})


def test_a_file_that_is_the_same_is_left_out_and_one_that_differs_is_shown() -> None:
    assert written(change(resource(a="1", b="2"), resource(a="1", b="3"))) == (FileText("/etc/b", "2", "3"),)


def test_a_unit_whose_name_holds_another_digest_is_compared_with_the_one_it_takes_the_place_of() -> None:
    (file,) = written(change(unit("chat-0-aaaa", "old"), unit("chat-0-bbbb", "new")))
    assert (file.before, file.after) == ("old", "new")
    assert file.was == "/etc/systemd/system/chat-0-aaaa.service"


def test_new_files_have_no_before_and_removed_ones_no_after() -> None:
    assert written(change(None, resource(a="1"))) == (FileText("/etc/a", None, "1"),)
    assert written(change(resource(a="1"), None)) == (FileText("/etc/a", "1", None),)


def test_only_the_lines_around_a_difference_are_shown_and_the_number_of_the_others_is_said() -> None:
    before = [f"line {n}" for n in range(20)]
    after = [*before[:10], "changed", *before[11:]]
    file = FileText("/etc/a", "\n".join(before), "\n".join(after))
    lines = list(compared(file, 1))
    assert lines == [
        DiffLine("…", "9"),
        DiffLine(" ", "line 9"),
        DiffLine("-", "line 10"),
        DiffLine("+", "changed"),
        DiffLine(" ", "line 11"),
        DiffLine("…", "8"),
    ]
    whole = list(compared(file, None))
    assert [one.text for one in whole if one.mark != "+"] == before
    assert not [one for one in whole if one.mark == "…"]
