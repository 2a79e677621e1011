"""What a killed controller, a host that goes down, Ctrl-C and a host in a bad state leave: on real hosts.

All of it happens to one deployment on one host, in one order: each test leaves it serving.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.commands import REFERENCES, Deployer, ask, deployed, text_of, tiny_chat, until, write_deployment
from tests.lab.conftest import LabFleet
from tests.lab.controllers import applying, impatient

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST = "lab-1"
PHOENIX = tiny_chat(HOST)
QUESTION = REFERENCES[2]


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    lab_fleet.run(HOST, ["sh", "-c", "rm -rf /var/lib/deployer/models/*"])  # of an earlier session: they must be made here
    with deployed(lab_fleet, {"phoenix": PHOENIX}) as run:
        yield run


def longer(length: int, more: str = "") -> str:
    return PHOENIX.replace("512", str(length)) + more


def requantized(name: str) -> str:
    return PHOENIX.replace("float32", name)


def answer(deployer: Deployer) -> str | None:
    """What the endpoint says, None when it does not answer."""
    try:
        status, found = ask(deployer, "phoenix", QUESTION)
    except OSError:
        return None
    return text_of(found) if status == 200 else None


def probe(deployer: Deployer) -> dict[str, Any]:
    """The host as status shows it."""
    (found,) = [h for h in deployer.json("status")["hosts"] if h["name"] == HOST]
    return dict(found)


def run_ended(deployer: Deployer) -> bool:
    """No run lives there and its lock is free."""
    found = probe(deployer)
    return not found["lock"] and not any(run["alive"] for run in found["unfinished"])


def half_made(deployer: Deployer) -> list[str]:
    """Artifacts without a marker."""
    script = (
        "for d in /opt/deployer/engines/* /var/lib/deployer/models/*/*; do "
        '[ ! -d "$d" ] || [ -e "$d/.deployer.json" ] || echo "$d"; done'
    )
    return deployer.lab.run(HOST, ["sh", "-c", script]).stdout.split()


def in_use(deployer: Deployer) -> list[str]:
    """Artifacts that a unit file of ours names."""
    script = (
        "grep -ohE '/(opt/deployer/engines|var/lib/deployer/models)/[^ \":]+' /etc/systemd/system/deployer-labtests-* | sort -u"
    )
    return deployer.lab.run(HOST, ["sh", "-c", script]).stdout.split()


def converges(deployer: Deployer) -> None:
    """The next apply makes what the files say; after it nothing is left of what was before."""
    deployer("apply", "--yes")
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert answer(deployer) == QUESTION["text"]
    found = probe(deployer)
    assert (found["lock"], found["unfinished"]) == (None, [])
    assert half_made(deployer) == []
    units = deployer.lab.run(HOST, ["sh", "-c", "ls /etc/systemd/system | grep deployer-labtests-phoenix"]).stdout.split()
    assert len(units) == 1, units


def test_a_controller_killed_while_a_model_is_made_leaves_a_whole_one_or_none(deployer: Deployer) -> None:
    write_deployment(deployer.root, "phoenix", requantized("int8"))
    with impatient(deployer, last="converting") as controller:
        controller.until("converting")
        controller.kill()
    assert answer(deployer) == QUESTION["text"]  # nothing was stopped for it
    planned = deployer("plan")
    assert "deployer attach follows it" in planned.stdout
    refused = deployer("apply", "--yes", exit_code=7)
    assert "is applying here since" in refused.stdout
    assert "deployer attach" in refused.stdout
    until(lambda: run_ended(deployer), "the run, left alone at its barrier, ends")
    assert probe(deployer)["unfinished"] == []  # the model is whole, nothing else was begun
    resources = [c["resource"] for c in deployer.json("plan")["changes"]]
    assert not [r for r in resources if r.startswith("model:")], resources
    converges(deployer)


def test_a_controller_killed_while_a_replica_starts_gives_the_old_one_back(deployer: Deployer) -> None:
    before = in_use(deployer)
    write_deployment(deployer.root, "phoenix", longer(640))
    with impatient(deployer, last="phoenix/0 answers") as controller:
        controller.until("phoenix/0 answers")
        controller.kill()
    until(lambda: run_ended(deployer), "the run, left alone at the gateway's barrier, undoes the switch")
    assert answer(deployer) == QUESTION["text"]
    assert in_use(deployer) == before
    assert probe(deployer)["unfinished"] == []
    converges(deployer)


def test_a_controller_killed_right_after_the_switch_leaves_a_host_that_finishes_alone(deployer: Deployer) -> None:
    """The new one has answered at the endpoint; only the old one is left to go, and for that nobody is needed."""
    write_deployment(deployer.root, "phoenix", longer(704).replace("open: true", "open: true, timeout: 61s"))
    with impatient(deployer, last="the endpoint answers") as controller:
        controller.until("the endpoint answers")
        controller.kill()
    until(lambda: run_ended(deployer), "the run, left alone at the last barrier, asks the endpoint and finishes")
    assert answer(deployer) == QUESTION["text"]
    assert probe(deployer)["unfinished"] == []
    deployer("plan", "--detailed-exitcode", exit_code=0)
    converges(deployer)


@pytest.fixture
def elsewhere(deployer: Deployer, tmp_path: Path) -> Deployer:
    """The same repository on another machine: its files as they are, no plan that was made here."""
    root = tmp_path / "elsewhere"
    shutil.copytree(deployer.root, root, ignore=shutil.ignore_patterns("plans"))
    return Deployer(LabFleet(root))


STAGES = {"converting": "int8_float32", "phoenix/0 answers": 768, "the endpoint answers": 784, "enable phoenix/0": 800}


@pytest.mark.parametrize("step", STAGES)
def test_attach_from_another_machine_finishes_what_a_killed_controller_began(
    deployer: Deployer, tmp_path: Path, request: pytest.FixtureRequest, step: str
) -> None:
    wanted = STAGES[step]
    write_deployment(deployer.root, "phoenix", requantized(wanted) if isinstance(wanted, str) else longer(wanted))
    other: Deployer = request.getfixturevalue("elsewhere")
    with applying(deployer) as controller:
        controller.until(step)
        controller.kill()
    said = other("attach").stderr
    assert "following" in said or step == "enable phoenix/0"  # so near its end it may be over, and needed nobody
    other("plan", "--detailed-exitcode", exit_code=0)
    assert answer(deployer) == QUESTION["text"]
    assert deployer.lab.run(HOST, ["sh", "-c", f"grep -l {wanted} /var/lib/deployer/labtests/phoenix/current.json"]).stdout


def test_a_host_that_goes_down_while_a_model_is_made_serves_the_old_one_and_uses_no_half_made_one(deployer: Deployer) -> None:
    write_deployment(deployer.root, "phoenix", requantized("bfloat16"))
    with applying(deployer) as controller:
        controller.until("converting")
        deployer.lab.reboot(HOST)
        controller.kill()
    until(lambda: answer(deployer) == QUESTION["text"], "the old revision answers after the boot")
    assert any("bfloat16" in path or path.endswith(".part") for path in half_made(deployer)), "the power went too late"
    assert not set(half_made(deployer)) & set(in_use(deployer))
    planned = deployer.json("plan")
    assert planned["changes"][0]["actions"] == ["undo"]
    assert "stopped half-way" in deployer("plan").stdout
    converges(deployer)


def test_a_host_that_goes_down_while_a_replica_starts_boots_the_last_good_set(deployer: Deployer) -> None:
    write_deployment(deployer.root, "phoenix", longer(896))
    with applying(deployer) as controller:
        controller.until("phoenix/0 answers")
        deployer.lab.reboot(HOST)
        controller.kill()
    until(lambda: answer(deployer) == QUESTION["text"], "the old revision answers after the boot")
    assert [c["actions"] for c in deployer.json("plan")["changes"]][0] == ["undo"]
    converges(deployer)


def test_ctrl_c_stops_at_a_step_boundary_and_says_what_was_done(deployer: Deployer) -> None:
    before = in_use(deployer)
    write_deployment(deployer.root, "phoenix", longer(960))
    with applying(deployer) as controller:
        controller.until("phoenix/0 answers")
        controller.interrupt()
        code, events = controller.end()
    assert code == 130
    report = events[-1]
    assert (report["type"], report["hosts"][HOST]["result"]) == ("report", "stopped")
    assert report["hosts"][HOST]["transactions"]["phoenix"]["state"] == "undone"
    assert [e for e in events if e["type"] == "stop" and "finishing the running step" in e["message"]]
    assert answer(deployer) == QUESTION["text"]
    assert in_use(deployer) == before
    converges(deployer)


def test_a_connection_lost_in_the_middle_is_found_again_and_the_apply_ends_well(deployer: Deployer) -> None:
    write_deployment(deployer.root, "phoenix", requantized("int16"))
    with applying(deployer) as controller:
        controller.until("converting")
        deployer.lab.cut(HOST)
        try:
            lost = controller.until_host("broken")
        finally:
            deployer.lab.heal(HOST)
        code, events = controller.end()
    assert "trying again; the run goes on there" in lost["message"]
    assert code == 0
    assert [e["state"] for e in events if e["type"] == "host"] == ["broken", "back", "ended"]
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert answer(deployer) == QUESTION["text"]
