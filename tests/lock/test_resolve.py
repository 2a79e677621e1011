"""The whole of `deployer lock` against the local hub, a small index and the real uv."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import LockfileError
from deployer.lock.check import Needed, behind
from deployer.lock.file import read_lock, write_lock
from deployer.lock.folder import digest_folders
from deployer.lock.request import LockFailed, LockRequest, Progress, WantedModel
from deployer.lock.resolve import update
from deployer.lock.tools import uv_tool
from deployer.spec.models import Packages
from deployer.state.needs import EnvironmentNeed, ModelNeed
from tests.hub import LocalHub
from tests.lock.examples import REPOSITORY, Token, model_folder
from tests.lock.wheelhouse import make_wheel

HUB, FOLDER = ModelNeed(repo="org/tiny"), ModelNeed(path="models/mine")
ENGINE = EnvironmentNeed("engine-1", ("engine",))
X86, ARM = "3.11/x86_64/glibc-2.36", "3.11/aarch64/glibc-2.36"
POISON = "hf_poison4711"


@pytest.fixture
def wanted(bare: None, hub: LocalHub, tmp_path: Path) -> LockRequest:
    """One model of each kind and one environment, nothing locked yet."""
    hub.add("org/tiny", REPOSITORY)
    root = tmp_path / "fleet"
    model_folder(root / "models" / "mine")
    make_wheel(root / "wheels", "engine", "1.0")
    packages = Packages(find_links=("wheels",), targets=(X86,))
    models = (WantedModel(HUB), WantedModel(FOLDER), WantedModel(ModelNeed(host_path="/srv/m")))
    return LockRequest(root, models, (ENGINE,), packages)


@pytest.fixture(autouse=True, scope="module")
def uv_described_once() -> Iterator[None]:
    """It is 38 MB to digest; test_tools.py looks at it itself."""
    tool = uv_tool()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deployer.lock.resolve.uv_tool", lambda: tool)
        yield


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch, bare: None) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def again(request: LockRequest, **changes: Any) -> LockRequest:
    return replace(request, existing=update(request), **changes)


def states(request: LockRequest) -> dict[str, list[str]]:
    heard: list[Progress] = []
    update(request, heard.append)
    return {key: [p.state for p in heard if p.key == key] for key in sorted({p.key for p in heard})}


def test_everything_wanted_is_locked_and_the_lock_is_not_behind(wanted: LockRequest) -> None:
    locked = update(wanted)
    assert set(locked.models) == {HUB.key, FOLDER.key}
    assert locked.environments["engine-1"].targets[X86].wheels[0].name == "engine-1.0-py3-none-any.whl"
    assert locked.tools["uv"].size > 0
    folders = {key: model.digest for key, model in digest_folders(wanted.root, [FOLDER]).items()}
    needed = Needed((HUB, FOLDER), (ENGINE,), (X86,), folders, {}, locked.tools)
    assert behind(locked, needed) == []
    write_lock(wanted.root, locked)
    assert read_lock(wanted.root) == locked


def test_a_branch_that_moved_stays_where_it_was_locked_until_an_upgrade(wanted: LockRequest, hub: LocalHub) -> None:
    second = again(wanted)
    before = second.existing.models[HUB.key].commit
    hub.add("org/tiny", {"new.txt": "x"})
    assert update(second).models[HUB.key].commit == before
    for upgrade in (frozenset({HUB.key}), "all"):
        upgraded = update(replace(second, upgrade=upgrade)).models[HUB.key]
        assert upgraded.commit == hub.commit("org/tiny") != before


def test_what_is_locked_needs_no_network(wanted: LockRequest, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    second = again(wanted)
    hub.requests.clear()
    monkeypatch.setattr("deployer.lock.resolve.lock_environment", lambda *_: pytest.fail("uv was asked"))
    assert update(second) == second.existing
    assert hub.requests == []


def test_a_new_model_is_looked_up_alone(wanted: LockRequest, hub: LocalHub) -> None:
    hub.add("org/new", REPOSITORY)
    second = again(wanted, models=(*wanted.models, WantedModel(ModelNeed(repo="org/new"))))
    hub.requests.clear()
    assert set(update(second).models) == {HUB.key, FOLDER.key, "hub:org/new@main"}
    assert all("org/new" in request.path for request in hub.requests)


def test_a_new_target_is_resolved_alone_and_a_removed_one_goes(wanted: LockRequest) -> None:
    second = again(wanted, packages=wanted.packages.model_copy(update={"targets": (X86, ARM)}))
    make_wheel(wanted.root / "wheels", "engine", "2.0")
    both = update(second).environments["engine-1"].targets
    assert [both[t].text.split()[0] for t in (X86, ARM)] == ["engine==1.0", "engine==2.0"]
    third = replace(second, existing=update(second), packages=wanted.packages.model_copy(update={"targets": (ARM,)}))
    assert set(update(third).environments["engine-1"].targets) == {ARM}


def test_changed_requirements_are_resolved_again(wanted: LockRequest) -> None:
    make_wheel(wanted.root / "wheels", "extra", "1.0")
    second = again(wanted, environments=(ENGINE._replace(requirements=("engine", "extra")),))
    assert update(second).environments["engine-1"].targets[X86].packages == 2


def test_an_environment_moves_to_newer_versions_only_on_upgrade(wanted: LockRequest) -> None:
    second = again(wanted)
    make_wheel(wanted.root / "wheels", "engine", "2.0")
    assert update(second) == second.existing
    upgraded = update(replace(second, upgrade=frozenset({"engine-1"})))
    assert upgraded.environments["engine-1"].targets[X86].text.startswith("engine==2.0 ")


def test_a_folder_is_locked_as_it_is_now(wanted: LockRequest) -> None:
    second = again(wanted)
    (wanted.root / "models" / "mine" / "more.txt").write_text("x")
    assert update(second).models[FOLDER.key].digest != second.existing.models[FOLDER.key].digest
    assert states(second)[FOLDER.key] == ["resolving", "locked", "changed"]


def test_what_nobody_wants_is_dropped_and_said(wanted: LockRequest) -> None:
    second = again(wanted, models=(), environments=())
    locked = update(second)
    assert (locked.models, locked.environments) == ({}, {})
    assert states(second) == {"engine-1": ["dropped"], HUB.key: ["dropped"], FOLDER.key: ["dropped"]}


def test_progress_says_what_is_looked_up_and_what_is_kept(wanted: LockRequest) -> None:
    assert states(wanted)[HUB.key] == ["resolving", "locked"]
    assert states(again(wanted)) == {"engine-1": ["kept"], HUB.key: ["kept"], FOLDER.key: ["resolving", "kept"]}


def test_all_that_cannot_be_locked_is_said_at_once_each_with_its_place(wanted: LockRequest) -> None:
    missing = WantedModel(ModelNeed(repo="org/none"), where="deployments/a.yaml:3:9")
    folder = WantedModel(ModelNeed(path="models/none"), where="deployments/b.yaml:3:9")
    heard: list[Progress] = []
    with pytest.raises(LockFailed) as raised:
        update(
            replace(wanted, models=(missing, folder), environments=(EnvironmentNeed("no-1", ("nothing-such",)),)), heard.append
        )
    assert [e.where for e in raised.value.errors] == ["deployments/a.yaml:3:9", "deployments/b.yaml:3:9", f"no-1 for {X86}"]
    assert raised.value.exit_code == 3
    assert "3 things could not be locked" in raised.value.what
    assert sorted(p.key for p in heard if p.state == "failed") == ["hub:org/none@main", "no-1", "path:models/none"]


def test_one_problem_is_raised_as_itself(wanted: LockRequest) -> None:
    with pytest.raises(LockfileError, match="org/none does not exist"):
        update(replace(wanted, models=(WantedModel(ModelNeed(repo="org/none")),)))


def test_one_name_for_two_environments_is_refused(wanted: LockRequest) -> None:
    both = (ENGINE, ENGINE._replace(requirements=("engine==1.0",)))
    with pytest.raises(LockfileError, match="two deployments want different packages in one environment, engine-1"):
        update(replace(wanted, environments=both))
    assert set(update(replace(wanted, environments=(ENGINE, ENGINE))).environments) == {"engine-1"}


def test_of_several_deployments_with_one_model_the_one_with_a_token_asks(wanted: LockRequest, hub: LocalHub) -> None:
    hub.options.gated = {"org/tiny"}
    locked = update(replace(wanted, models=(WantedModel(HUB), WantedModel(HUB, Token("hf_test")))))
    assert locked.models[HUB.key].facts.gated


def test_a_licence_other_than_the_accepted_one_is_a_note_not_an_error(wanted: LockRequest) -> None:
    heard: list[Progress] = []
    update(replace(wanted, models=(WantedModel(HUB, accept_license="mit"),)), heard.append)
    assert [p.detail for p in heard if p.state == "note"] == ["its licence is llama3.1, the YAML accepts mit"]


def test_a_token_is_in_no_file_no_progress_and_no_request_shown(wanted: LockRequest, hub: LocalHub) -> None:
    hub.options.token, hub.options.private = POISON, {"org/tiny"}
    heard: list[Progress] = []
    request = replace(wanted, models=(WantedModel(HUB, Token(POISON)), WantedModel(FOLDER)))
    write_lock(wanted.root, update(request, heard.append))
    assert POISON not in f"{heard} {request}"
    for file in wanted.root.rglob("*"):
        assert not file.is_file() or POISON.encode() not in file.read_bytes()


def test_a_lock_that_fails_writes_nothing(wanted: LockRequest) -> None:
    before = sorted(wanted.root.rglob("*"))
    with pytest.raises(LockfileError):
        update(replace(wanted, models=(WantedModel(ModelNeed(repo="org/none")),)))
    assert sorted(wanted.root.rglob("*")) == before
