"""The Python API, from the files to answers of fake hosts and back."""

from collections.abc import Callable
from pathlib import Path

import pytest

import deployer
from deployer.app.fleet import Fleet
from deployer.errors import Refused, SpecError, UsageError
from deployer.execute.events import Event
from deployer.execute.follow import Control
from deployer.plan.world import Options
from deployer.transport.fake import FakeHost

Hosts = dict[str, FakeHost]


def edit(fleet: Fleet, old: str, new: str, file: str = "deployments/chat.yaml") -> Fleet:
    path = fleet.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return Fleet.load(fleet.root)


def state(fleet: Fleet) -> str:
    return fleet.deployment("chat").status().state


def test_the_public_names_are_those_of_the_package(fleet: Path) -> None:
    assert deployer.Fleet is Fleet
    with pytest.raises(AttributeError, match="no attribute"):
        deployer.nothing  # noqa: B018


def test_what_is_applied_is_deployed_and_then_there_is_nothing_to_do(loaded: Fleet, hosts: Hosts) -> None:
    assert state(loaded) == "pending"
    report = loaded.plan().apply(why="first")
    assert report.exit_code == 0, report
    assert state(loaded) == "deployed"
    assert loaded.plan().plan.empty
    (revision,) = loaded.deployment("chat").history()
    assert (revision["revision"], revision["why"], revision["current"]) == (1, "first", True)


def test_a_description_is_noted_and_restarts_nothing(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    before = hosts["h1"].running()
    with edit(loaded, "tags: [prod]", "tags: [prod, team]\ndescription: hello") as changed:
        planned = changed.plan()
        assert [c.kind for c in planned.plan.changes] == ["deployment"]
        assert planned.apply().exit_code == 0
    assert hosts["h1"].running() == before


def test_a_host_that_moved_since_the_plan_is_refused_and_says_what_moved(loaded: Fleet, hosts: Hosts) -> None:
    planned = loaded.plan()
    loaded.plan().apply()
    report = planned.apply()
    assert report.exit_code == 8
    assert report.hosts["h1"].result == "stale"
    assert "the revisions recorded on this host" in str(report.hosts["h1"].message)
    assert state(loaded) == "deployed"


def test_a_model_that_does_not_start_is_undone_and_status_says_why(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    with edit(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: int8}") as changed:
        planned = changed.plan()
        (unit,) = (c.after.payload["unit"] for c in planned.plan.changes if c.after and c.kind == "replica")
        hosts["h1"].break_engine(unit, "RuntimeError: CUDA out of memory")
        report = planned.apply()
        assert report.exit_code == 5
        (failure,) = report.failures
        assert failure.undone
        assert any("out of memory" in line for line in failure.log)
        found = changed.deployment("chat").status()
        assert (found.state, found.revision) == ("deployed", 1)
        assert found.failure is not None
        assert changed.deployment("chat").failure() is not None


def test_an_unreachable_host_is_data_and_the_other_is_done(loaded: Fleet, hosts: Hosts) -> None:
    hosts["h2"].unreachable = "timeout"
    planned = loaded.plan()
    assert planned.plan.unreachable == ("h2",)
    report = planned.apply()
    assert report.exit_code == 6
    assert report.hosts["h1"].result == "done"
    assert state(loaded) == "deployed"


def test_connections_that_break_are_followed_on(loaded: Fleet, hosts: Hosts) -> None:
    broken: list[str] = []

    def cut(event: Event) -> None:
        if event.type == "step" and event.state == "start" and event.stage is None and not broken:
            broken.append(str(event.host))
            hosts["h1"].drop()

    report = loaded.plan().apply(on_event=cut)
    assert broken
    assert report.exit_code == 0, report


def test_the_controller_dies_and_another_one_attaches(loaded: Fleet, hosts: Hosts) -> None:
    class Killed(BaseException):
        pass

    def die(event: Event) -> None:
        if event.type == "barrier" and event.stage == "switch" and event.state == "waiting":
            raise Killed

    with pytest.raises(Killed):
        loaded.plan().apply(on_event=die)
    loaded.close()
    with Fleet.load(loaded.root) as other:
        (one,) = other.running()
        assert one.hosts.keys() == {"h1"}
        assert other.attach(one).exit_code == 0
        assert state(other) == "deployed"


def test_one_interrupt_ends_at_a_step_boundary_and_the_next_apply_finishes(loaded: Fleet, hosts: Hosts) -> None:
    control = Control()

    def press(event: Event) -> None:
        if event.type == "barrier" and event.stage == "switch" and event.state == "waiting":
            control.interrupt()

    assert loaded.plan().apply(on_event=press, control=control).exit_code == 130
    assert loaded.plan().apply().exit_code == 0
    assert state(loaded) == "deployed"


def test_stop_start_and_destroy_are_holds_that_the_next_plan_keeps(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    chat = loaded.deployment("chat")
    assert chat.stop(why="maintenance").apply().exit_code == 0
    assert state(loaded) == "stopped"
    assert loaded.plan().plan.empty
    assert chat.start().apply().exit_code == 0
    assert state(loaded) == "deployed"
    assert chat.destroy().apply().exit_code == 0
    assert hosts["h1"].running() == []
    assert loaded.plan().plan.empty
    assert loaded.plan(Options(release=("chat",))).apply().exit_code == 0
    assert state(loaded) == "deployed"


def test_a_restart_brings_a_new_process_that_answers(loaded: Fleet) -> None:
    loaded.apply()
    before = loaded.deployment("chat").status().replicas[0].since
    planned = loaded.deployment("chat").restart()
    assert [(c.name, c.actions) for c in planned.plan.changes] == [("chat/0", ("create", "delete")), ("chat", ("update",))]
    assert planned.apply().exit_code == 0
    after = loaded.deployment("chat").status()
    assert (after.state, after.revision) == ("deployed", 2)
    assert after.replicas[0].since != before
    assert loaded.plan().plan.empty


def test_destroying_what_no_file_has_any_more_leaves_nothing(loaded: Fleet, hosts: Hosts) -> None:
    loaded.apply()
    (loaded.root / "deployments/chat.yaml").unlink()
    with Fleet.load(loaded.root) as changed:
        assert changed.plan().plan.empty  # an orphan is shown, and stays
        assert changed.hold(["chat"], "destroyed").apply().exit_code == 0
    hosts["h1"].settle()
    roots = [hosts["h1"].path(p) for p in ("/etc/deployer", "/opt/deployer", "/var/lib/deployer", "/etc/systemd/system")]
    assert [str(f) for root in roots for f in root.rglob("*") if "deployer" in str(f.relative_to(hosts["h1"].root))] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda fleet: fleet.plan(Options(names=("chta",))),
        lambda fleet: fleet.plan(Options(hosts=("h9",))),
        lambda fleet: fleet.hold(["nobody"], "stopped"),
        lambda fleet: fleet.deployment("nobody").status(),
        lambda fleet: fleet.deployment("nobody").endpoint(),
        lambda fleet: fleet.deployment("nobody").history(),
    ],
)
def test_a_name_that_nobody_has_is_said_so(loaded: Fleet, hosts: Hosts, call: Callable[[Fleet], object]) -> None:
    with pytest.raises(UsageError, match="there is no"):
        call(loaded)


def test_a_plan_with_a_refusal_touches_nothing(loaded: Fleet, hosts: Hosts) -> None:
    with edit(loaded, "tags: [prod]", "tags: [prod]\nplacement: {labels: {gpu: h100}}") as changed:
        planned = changed.plan()
        assert planned.plan.refusals
        with pytest.raises(Refused):
            planned.apply()
    assert hosts["h1"].running() == []


def test_only_the_named_hosts_are_in_a_plan_for_them(loaded: Fleet, hosts: Hosts) -> None:
    assert {c.host for c in loaded.plan(Options(hosts=("h2",))).plan.changes} <= {"h2"}


def test_every_problem_of_the_files_is_one_error(fleet: Path) -> None:
    (fleet / "deployments/chat.yaml").write_text("name: chat\nmodell: {}\nengine: {ctranslate2: {}}\nreplicas: many\n")
    with pytest.raises(SpecError) as error:
        Fleet.load(fleet)
    assert len(error.value.problems) >= 2
