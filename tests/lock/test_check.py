from dataclasses import replace

from deployer.lock.check import Needed, behind
from deployer.spec.source import Source
from deployer.state.locked import Locked, LockedEnvironment, LockedModel, LockedTarget, LockedTool
from deployer.state.needs import EnvironmentNeed, ModelNeed

TARGET = "3.11/x86_64/glibc-2.36"
HUB, FOLDER = ModelNeed(repo="org/name"), ModelNeed(path="models/tiny")
NEED = EnvironmentNeed("e-1", ("a==1",), ("b",))
UV = LockedTool("uv", "1.0", "4" * 64, 9, "x86_64")


def lock() -> Locked:
    models = [
        LockedModel(HUB.key, "hub", "org/name", "main", "0" * 40, "d1"),
        LockedModel(FOLDER.key, "path", "models/tiny", None, None, "d2"),
    ]
    targets = {TARGET: LockedTarget(TARGET, "f", "d", 0, "")}
    environment = LockedEnvironment("e-1", NEED.requirements, NEED.exclude, NEED.asked, targets)
    return Locked({m.key: m for m in models}, {"e-1": environment}, {"uv": UV})


def needed() -> Needed:
    return Needed((HUB, FOLDER), (NEED,), (TARGET,), {FOLDER.key: "d2"}, {}, {"uv": UV})


def messages(wanted: Needed) -> list[str]:
    return [problem.message for problem in behind(lock(), wanted)]


def test_a_lock_that_says_all_that_is_wanted_is_not_behind() -> None:
    assert behind(lock(), needed()) == []


def test_entries_nobody_wants_do_not_put_a_lock_behind() -> None:
    assert behind(lock(), Needed()) == []


def test_a_model_that_is_already_on_the_host_needs_no_lock() -> None:
    assert messages(Needed(models=(ModelNeed(host_path="/srv/x"),))) == []


def test_a_new_model_is_named_at_its_place_in_the_yaml() -> None:
    new = ModelNeed(repo="org/new")
    problem = behind(lock(), Needed((new,), places={new.key: Source("deployments/chat.yaml", 4, 9)}))[0]
    assert (problem.where, problem.message) == ("deployments/chat.yaml:4:9", "org/new is not in deployer.lock")
    assert "deployer lock" in (problem.hint or "")


def test_a_changed_revision_names_both() -> None:
    found = messages(Needed(models=(ModelNeed(repo="org/name", revision="v2"),)))
    assert found == ["org/name is locked at revision main, the file asks for v2"]


def test_a_folder_whose_files_changed_is_named_and_one_not_looked_at_is_not() -> None:
    assert messages(replace(needed(), folders={FOLDER.key: "other"})) == [
        "the folder models/tiny is not what deployer.lock says: its files have changed"
    ]
    assert messages(replace(needed(), folders={})) == []


def test_changed_requirements_name_the_difference() -> None:
    changed = EnvironmentNeed("e-1", ("a==2",), ("b", "c"))
    found = messages(replace(needed(), environments=(changed,)))
    assert found == ["the environment e-1 was locked for other packages: no longer a==1; now also a==2, without c"]
    found = messages(replace(needed(), environments=(NEED._replace(index_url="https://nightly"),)))
    assert found == ["the environment e-1 was locked for other packages: another index or Python is wanted now"]


def test_the_order_of_requirements_and_credentials_of_an_index_do_not_count() -> None:
    one = EnvironmentNeed("e", ("a", "b"), index_url="https://user:one@host/simple")
    assert one.asked == EnvironmentNeed("e", ("b", "a"), index_url="https://user:two@host/simple").asked
    assert one.asked != EnvironmentNeed("e", ("b", "a"), index_url="https://host/other").asked


def test_a_new_environment_and_a_new_target_are_named() -> None:
    other = "3.11/aarch64/glibc-2.36"
    found = messages(replace(needed(), environments=(NEED, EnvironmentNeed("new-1", ("x",))), targets=(TARGET, other)))
    assert found == [
        "the environment e-1 is not locked for the target 3.11/aarch64/glibc-2.36",
        "the environment new-1 is not in deployer.lock",
    ]


def test_a_target_an_environment_cannot_use_is_not_missed() -> None:
    modern = NEED._replace(python=">=3.10")
    environment = replace(lock().environments["e-1"], asked=modern.asked)
    wanted = Needed(environments=(modern,), targets=(TARGET, "3.9/x86_64/glibc-2.31"))
    assert behind(replace(lock(), environments={"e-1": environment}), wanted) == []


def test_a_target_that_is_nonsense_is_a_problem_of_deployer_yaml() -> None:
    problem = behind(lock(), replace(needed(), targets=("python3",)))[0]
    assert (problem.file, "'python3'" in problem.message) == ("deployer.yaml", True)


def test_another_uv_on_this_machine_is_named() -> None:
    assert messages(replace(needed(), tools={"uv": replace(UV, version="2.0", sha256="5" * 64)})) == [
        "deployer.lock pins uv 1.0, here is 2.0"
    ]
    assert "another build" in messages(replace(needed(), tools={"uv": replace(UV, sha256="5" * 64)}))[0]
    assert messages(replace(needed(), tools={"new": UV})) == ["the tool new is not in deployer.lock"]


def test_the_same_thing_wanted_twice_is_one_problem() -> None:
    new = ModelNeed(repo="org/new")
    assert len(behind(lock(), Needed(models=(new, new)))) == 1
