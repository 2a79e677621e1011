"""The whole way on fake hosts: an update that answers and is no good, back to what was there, and what holds afterwards."""

from datetime import UTC, datetime, timedelta

import pytest

from deployer.app import gitedits
from deployer.app.fleet import Fleet
from deployer.app.gitedits import replaced
from deployer.errors import Refused, UsageError
from deployer.plan.world import Options
from deployer.state.observed import Reached
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


def test_every_until_is_read_in_the_same_way(loaded: Fleet) -> None:
    for ask in (
        lambda until: loaded.rollback("chat", until=until),
        lambda until: loaded.hold(("chat",), "stopped", until=until),
        lambda until: loaded.revert("chat", until=until),
        lambda until: loaded.cordon(("h1",), until=until),
        lambda until: loaded.drain(("h1",), until=until),
    ):
        with pytest.raises(UsageError, match="tomorrow is neither a time nor a duration"):
            ask("tomorrow")


def test_update_fail_rollback_hold_release(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply(why="first")
    first = unit(hosts["h1"])
    with updated(loaded) as fleet:
        second = unit(hosts["h1"])
        assert second != first
        hosts["h1"].break_engine(second, "RuntimeError: CUDA error")
        planned = fleet.rollback("chat", why="it fails", until="2h")
        assert (
            timedelta(0)
            < datetime.fromisoformat(planned.plan.roster["holds"]["chat"]["until"]) - datetime.now(UTC)
            <= timedelta(hours=2)
        )
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
        reached = fleet.probe(["h1"])["h1"]
        assert isinstance(reached, Reached)
        for path in {a["path"] for a in reached.probe["artifacts"] if a["kind"] == "model"}:
            hosts["h1"].path(f"{path}/.deployer.json").unlink()
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


def test_gc_forgets_what_is_beyond_keep_and_a_rollback_still_works(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    root = hosts["h1"].path("/var/lib/deployer/acme/chat/revisions")
    last = "ctranslate2: {}"
    fleet = loaded
    for length in (512, 256, 128, 64, 32):
        now = f"ctranslate2: {{max_model_len: {length}}}"
        fleet = edit(fleet, last, now)
        with fleet:
            assert fleet.apply().exit_code == 0
        last = now
    assert sorted(p.name for p in root.iterdir()) == [f"{n}.json" for n in range(1, 7)]
    with fleet:
        planned = fleet.gc()
        assert "chat: revisions 1, 2, 3" in planned.text()
        assert planned.apply().exit_code == 0
        assert sorted(p.name for p in root.iterdir()) == [f"{n}.json" for n in (4, 5, 6)]
        assert fleet.gc().plan.empty
        assert state(fleet) == "deployed"
        assert fleet.plan().plan.empty
        assert fleet.rollback("chat", 4).apply().exit_code == 0
        with pytest.raises(UsageError, match="revision 2"):
            fleet.rollback("chat", 2)


def test_prune_keeps_what_an_earlier_revision_needs_and_gc_takes_it_when_it_is_forgotten(loaded: Fleet, hosts: Hosts) -> None:
    with edit(loaded, "ctranslate2: {}", "ctranslate2: {quantization: int8}") as first:
        first.apply()
        second = edit(first, "{quantization: int8}", "{quantization: float32}")
        with second:
            second.apply()
            assert [c for c in second.plan(Options(prune=True)).plan.changes if c.kind == "model"] == []
            assert second.rollback("chat").plan.refusals == ()
            third = edit(second, "float32}", "float32, max_model_len: 64}\nkeep: 1")
        with third:
            third.apply()
            planned = third.gc()
            models = {c.name for c in planned.plan.changes if c.kind == "model"}
            assert len(models) >= 1
            assert planned.apply().exit_code == 0
            assert third.plan().plan.empty
            assert third.rollback("chat").apply().exit_code == 0  # to 2, which was kept though keep is 1
