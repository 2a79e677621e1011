"""The whole way on fake hosts: an update that answers and is no good, back to what was there, and what holds afterwards."""

from pathlib import Path

import pytest

from deployer.app import gitedits
from deployer.app.fleet import Fleet
from deployer.app.gitedits import replaced
from deployer.errors import Refused, UsageError
from deployer.plan.world import Options
from deployer.transport.fake import FakeHost
from tests.app.test_fleet import Hosts, edit, state

COMMENTED = "name: chat  # ours\nengine:\n  vllm: {version: 0.33.0, max_model_len: 8192}  # long\nreplicas: 2\n"


def updated(fleet: Fleet) -> Fleet:
    """chat at revision 1, then at 2 with another compute type."""
    assert fleet.apply(why="first").exit_code == 0
    changed = edit(fleet, "ctranslate2: {}", "ctranslate2: {compute_type: int8}")
    assert changed.apply(why="smaller").exit_code == 0
    return changed


def unit(host: FakeHost) -> str:
    (found,) = [name for name in host.running() if "-chat-0-" in name]
    return found


def test_update_fail_rollback_hold_release(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply(why="first")
    first = unit(hosts["h1"])
    with updated(loaded) as fleet:
        second = unit(hosts["h1"])
        assert second != first
        hosts["h1"].break_engine(second, "RuntimeError: CUDA error")
        planned = fleet.rollback("chat", why="it fails")
        assert planned.apply().exit_code == 0
        assert unit(hosts["h1"]) == first
        chat = fleet.deployment("chat")
        assert chat.status().state == "deployed"
        assert chat.status().hold is not None
        newest = chat.history()[0]
        assert (newest["revision"], newest["why"]) == (3, f"rollback to 1 by {fleet.who}: it fails")
        held = fleet.plan()
        assert held.plan.empty
        assert "chat is held at revision 1" in held.text()
    with edit(fleet, "compute_type: int8", "compute_type: float32") as newer:
        assert newer.plan().plan.empty
        assert newer.apply().exit_code == 0
        assert unit(hosts["h1"]) == first
        released = newer.plan(Options(release=("chat",)))
        assert released.apply().exit_code == 0
        assert unit(hosts["h1"]) != first
        assert newer.deployment("chat").status().hold is None


def test_when_git_says_the_same_again_the_hold_is_gone(loaded: Fleet, hosts: Hosts) -> None:
    with updated(loaded) as fleet:
        assert fleet.rollback("chat").apply().exit_code == 0
        running = unit(hosts["h1"])
        (found,) = gitedits.edits(fleet, fleet.rollback("chat", 1).plan, "chat")
        assert found.text == "engine.ctranslate2.compute_type: int8 → (not set)"
        assert str(found.source).startswith("deployments/chat.yaml:4")
    with edit(fleet, "{compute_type: int8}", "{}") as back:
        assert back.apply().exit_code == 0
        assert back.deployment("chat").status().hold is None
        assert unit(hosts["h1"]) == running


def test_write_changes_the_file_and_leaves_the_rest_of_it(loaded: Fleet) -> None:
    with edit(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: float32}  # exact") as first:
        first.apply()
        with edit(first, "compute_type: float32", "compute_type: int8") as second:
            second.apply()
            planned = second.rollback("chat")
            assert planned.apply().exit_code == 0
            done = gitedits.write(second, "chat", gitedits.edits(second, planned.plan, "chat"))
            assert [e.text for e in done.done] == ["engine.ctranslate2.compute_type: int8 → float32"]
            assert "ctranslate2: {compute_type: float32}  # exact\n" in (second.root / "deployments/chat.yaml").read_text()
        with Fleet.load(loaded.root) as again:
            assert again.plan().plan.empty
            assert again.plan().plan.roster["holds"] == {}


def test_a_rollback_to_what_is_gone_is_refused_before_anything_is_touched(loaded: Fleet, hosts: Hosts) -> None:
    with updated(loaded) as fleet:
        fleet.plan(Options(prune=True)).apply()
        planned = fleet.rollback("chat")
        if not planned.plan.refusals:  # both revisions share the model: take it away by hand
            (path,) = {Path(a["path"]) for a in fleet.probe(["h1"])["h1"].probe["artifacts"] if a["kind"] == "model"}  # type: ignore[union-attr]
            (hosts["h1"].path(str(path)) / ".deployer.json").unlink()
            planned = fleet.rollback("chat")
        assert "is gone from h1" in planned.plan.refusals[0].what
        before = hosts["h1"].running()
        with pytest.raises(Refused, match="cannot go back"):
            planned.apply()
        assert hosts["h1"].running() == before


def test_a_revision_that_nobody_remembers(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    with pytest.raises(UsageError, match="revision 7"):
        loaded.rollback("chat", 7)
    with pytest.raises(Refused, match="no earlier revision"):
        loaded.deployment("chat").rollback()
    assert state(loaded) == "deployed"


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("engine", "vllm", "max_model_len"), 4096, "  vllm: {version: 0.33.0, max_model_len: 4096}  # long\n"),
        (("engine", "vllm", "version"), "0.32.1", "  vllm: {version: 0.32.1, max_model_len: 8192}  # long\n"),
        (("name",), "yes", 'name: "yes"  # ours\n'),
        (("replicas",), 1, "replicas: 1\n"),
    ],
)
def test_one_value_is_replaced_and_every_comment_stays(path: tuple[str, ...], value: object, line: str) -> None:
    made = replaced(COMMENTED, path, value)
    assert made is not None
    assert line in made
    assert len(made.splitlines()) == len(COMMENTED.splitlines())


def test_what_is_not_one_value_is_not_replaced() -> None:
    assert replaced(COMMENTED, ("engine",), "x") is None
    assert replaced(COMMENTED, ("nothing",), "x") is None
    assert replaced("a: &x 1\nb: *x\n", ("a",), 2) is None
