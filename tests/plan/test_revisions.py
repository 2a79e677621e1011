"""Revisions out of what hosts remember, and the difference between two."""

from typing import Any

from deployer.plan.filetexts import compared
from deployer.plan.revisions import Revision, difference, revisions
from deployer.state.observed import Reached, Unreached
from deployer.state.resources import Attribute, Kind, Resource


def revision(number: int, *resources: Resource) -> Revision:
    return Revision(number, None, None, None, None, ("h1",), False, resources)


def replica(host: str = "h1", *, unit: str = "chat-0-aaaa", text: str = "a\nb\nc\n", **values: Any) -> Resource:
    attributes = tuple(Attribute(name, value, restarts=True) for name, value in values.items())
    files = [{"path": f"/etc/systemd/system/{unit}.service", "content": text}, {"path": "/models/x.bin", "size": 8}]
    return Resource(host, Kind.REPLICA, "chat/0", "chat", attributes, {"files": files})


def test_two_hosts_with_the_same_number_are_one_revision_and_hold_the_resources_of_both() -> None:
    def probe(host: str, current: int) -> Reached:
        entries = [{"revision": n, "who": "ann", "resources": [raw(host)]} for n in (1, 2)]
        return Reached(host, {"records": {"chat": {"revision": current}}, "history": {"chat": entries}})

    def raw(host: str) -> dict[str, Any]:
        return {"host": host, "kind": "replica", "name": "chat/0"}

    observed = {"h1": probe("h1", 2), "h2": probe("h2", 1), "h3": Unreached("h3", "timeout", "timed out")}
    newest, oldest = revisions(observed, "chat", whole=True)
    assert (newest.number, newest.hosts, newest.current, oldest.current) == (2, ("h1", "h2"), True, True)
    assert [resource.host for resource in newest.resources] == ["h1", "h2"]
    assert revisions(observed, "chat")[0].resources == ()
    assert revisions(observed, "other") == ()


def test_what_is_the_same_is_not_told() -> None:
    assert difference(revision(1, replica(dtype="int8")), revision(2, replica(dtype="int8"))) == ()


def test_an_attribute_and_a_line_of_a_file_are_told_though_the_units_name_changed() -> None:
    before = replica(dtype="int8", text="a\nb\nc\n")
    after = replica(dtype="int4", text="a\nB\nc\n", unit="chat-0-bbbb")
    (found,) = difference(revision(1, before), revision(2, after))
    assert (found.host, found.address, found.verb) == ("h1", "replica:chat/0", "update")
    assert [(d.name, d.before, d.after) for d in found.deltas] == [("dtype", "int8", "int4")]
    (file,) = found.files
    assert file.path == "/etc/systemd/system/chat-0-bbbb.service"
    assert file.was == "/etc/systemd/system/chat-0-aaaa.service"
    assert [(one.mark, one.text) for one in compared(file) if one.mark in "+-"] == [("-", "b"), ("+", "B")]


def test_what_came_and_what_went_is_told_with_its_values() -> None:
    came, gone = replica("h2", dtype="int8"), replica("h1", dtype="int8")
    found = difference(revision(1, gone), revision(2, came))
    assert [(one.host, one.verb) for one in found] == [("h1", "delete"), ("h2", "create")]
    assert [(d.before, d.after) for one in found for d in one.deltas] == [("int8", None), (None, "int8")]
    assert [(one.before is None, one.after is None) for it in found for one in it.files] == [(False, True), (True, False)]
