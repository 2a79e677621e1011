"""Back to an earlier revision on a real host: while the new one is down, against an apply from CI, and when something is gone.

All of it happens to one deployment on one host, in one order.
"""

from collections.abc import Iterator

import pytest

from tests.lab.commands import REFERENCES, Deployer, ask, forget, text_of, tiny_chat, until, write_deployment, written
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HOST = "lab-1"
NAME = "boomerang"
QUESTION = REFERENCES[2]


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    run = written(lab_fleet, {NAME: tiny_chat(HOST)})
    run("lock")
    run("apply", NAME, "--yes", "-m", "first")
    write_deployment(lab_fleet.root, NAME, f"# ours\n{tiny_chat(HOST, 256)}")
    run("apply", NAME, "--yes", "-m", "shorter")
    yield run
    forget(lab_fleet, NAME)


def unit(deployer: Deployer) -> str:
    listed = deployer.lab.run(HOST, ["systemctl", "list-unit-files", "--no-legend", f"deployer-labtests-{NAME}-*"]).stdout
    (name,) = [line.split()[0] for line in listed.splitlines()]
    return name


def answers(deployer: Deployer) -> str | None:
    status, found = ask(deployer, NAME, QUESTION)
    return text_of(found) if status == 200 else None


def test_back_while_the_new_one_is_down_without_bringing_anything(deployer: Deployer) -> None:
    bad = unit(deployer)
    deployer.lab.run(HOST, ["systemctl", "stop", bad])
    assert until(lambda: answers(deployer) is None, "the endpoint says that nothing serves")
    done = deployer("rollback", NAME, "--yes", "-m", "it went down")
    assert f"{NAME} goes back to revision 1" in done.stdout
    assert "max_model_len: 256 → 512" in done.stdout
    assert "to bring" not in done.stdout
    assert answers(deployer) == QUESTION["text"]
    assert unit(deployer) != bad
    newest = deployer.json("history", NAME)["revisions"][0]
    assert newest["revision"] == 3
    assert newest["why"].startswith("rollback to 1 by ")
    assert newest["why"].endswith(": it went down")


def test_an_apply_of_the_newer_yaml_shows_the_hold_and_changes_nothing(deployer: Deployer) -> None:
    before = unit(deployer)
    write_deployment(deployer.root, NAME, tiny_chat(HOST, 384))
    assert f"{NAME} is held at revision 1" in deployer("plan", NAME, "--detailed-exitcode").stdout
    deployer("apply", NAME, "--yes")
    assert unit(deployer) == before
    assert "rolled-back to revision 1" in deployer("status").stdout


def test_stopped_and_started_again_it_is_where_it_was_held(deployer: Deployer) -> None:
    before = unit(deployer)
    deployer("stop", NAME, "--yes")
    deployer("start", NAME, "--yes")
    assert unit(deployer) == before
    assert answers(deployer) == QUESTION["text"]


def test_once_the_file_says_the_same_nothing_holds_it(deployer: Deployer) -> None:
    before = unit(deployer)
    deployer("rollback", NAME, "1", "--yes", "--write")
    assert "max_model_len: 512" in (deployer.root / f"deployments/{NAME}.yaml").read_text()
    deployer("apply", NAME, "--yes")
    assert unit(deployer) == before
    assert "rolled-back" not in deployer("status").stdout


def test_what_is_gone_is_said_before_anything_is_touched(deployer: Deployer) -> None:
    """The same weights in another precision are another model on the host."""
    write_deployment(deployer.root, NAME, tiny_chat(HOST).replace("float32", "int8"))
    deployer("apply", NAME, "--yes")
    before = unit(deployer)
    found = deployer.json("hosts", "probe", HOST)
    paths = [a["path"] for a in _artifacts(found) if a["kind"] == "model" and not a["fleets"]]
    for path in paths:
        deployer.lab.run(HOST, ["mv", path, f"{path}.away"])
    try:
        refused = deployer("rollback", NAME, "1", "--yes", exit_code=4)
        assert "is gone from lab-1" in refused.stdout
        assert "deployer apply" in refused.stderr
        assert unit(deployer) == before
    finally:
        for path in paths:
            deployer.lab.run(HOST, ["mv", f"{path}.away", path])
    deployer("rollback", NAME, "1", "--yes")
    assert answers(deployer) == QUESTION["text"]
    deployer("apply", NAME, "--yes", "--release", NAME)
    assert unit(deployer) == before


def _artifacts(found: object) -> list[dict[str, object]]:
    """Wherever in the answer they are."""
    if isinstance(found, dict):
        here = found.get("artifacts")
        return here if isinstance(here, list) else [a for value in found.values() for a in _artifacts(value)]
    return [a for value in found for a in _artifacts(value)] if isinstance(found, list) else []
