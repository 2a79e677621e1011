"""The terminal UI in a real terminal, against real hosts: review, approve a part, apply, watch, leave; killed and found again;
a host that goes away and comes back.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.lab.commands import Deployer, deployed, tiny_chat, write_deployment
from tests.lab.conftest import LabFleet
from tests.lab.terminal import Terminal, terminal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

#: deployment → its host
PLACES = {"red": "lab-1", "green": "lab-2", "blue": "lab-3"}


def in_place(host: str, length: int) -> str:
    """One change for each deployment: nothing of its route changes with it."""
    return tiny_chat(host, length) + "rollout: {strategy: recreate}\n"


def everywhere(length: int) -> dict[str, str]:
    return {name: in_place(host, length) for name, host in PLACES.items()}


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    """One deployment on each of three hosts."""
    with deployed(lab_fleet, everywhere(512)) as run:
        yield run


@pytest.fixture
def ui(deployer: Deployer, tmp_path: Path) -> Iterator[Terminal]:
    with opened(deployer, tmp_path) as found:
        yield found


def opened(deployer: Deployer, folder: Path) -> AbstractContextManager[Terminal]:
    environment = {k: v for k, v in deployer.environment().items() if k != "NO_COLOR"}
    return terminal(deployer.argv(["ui"]), folder, {**environment, "XDG_CONFIG_HOME": str(folder)})


def unit(deployer: Deployer, name: str) -> str:
    """The replica's process, as systemd names it: another one after a restart only."""
    script = f"systemctl show -P InvocationID 'deployer-labtests-{name}-*'"
    return deployer.lab.run(PLACES[name], ["sh", "-c", script]).stdout.strip()


def test_two_of_three_changes_are_approved_and_exactly_those_are_done(deployer: Deployer, ui: Terminal) -> None:
    before = {name: unit(deployer, name) for name in PLACES}
    for name, text in everywhere(640).items():
        write_deployment(deployer.root, name, text)
    ui.until("red", "green", "blue", "lab-1", "lab-2", "lab-3", "deployed")
    ui.press("2")
    ui.until("3 replace", "max_model_len")
    ui.press("g", "Space", "]", "Space", "]", "x")
    ui.until("approved 2 of 3")
    ui.press("A")
    ui.until("Apply this?", "fleet labtests: 2 replace on lab-1, lab-2", "1 change of this plan is not done")
    ui.press("Enter")
    ui.until("type the fleet's name first")
    ui.type("labtests")
    ui.press("Enter")
    ui.until("Apply this?", gone=True)
    ui.until("✓ done: 3 hosts: 2 done, 1 unchanged", "red answers at", "green answers at", deadline_s=120)
    ui.press("1")
    ui.until("red", "● deployed")
    ui.press("q")
    assert ui.ended() == 0
    after = {name: unit(deployer, name) for name in PLACES}
    assert [name for name in PLACES if after[name] != before[name]] == ["red", "green"]
    journal = deployer.lab.run("lab-3", ["sh", "-c", "grep -l 640 -r /etc/deployer/labtests || true"]).stdout
    assert journal == ""
    left = deployer.json("plan")["changes"]
    assert {change["deployment"] for change in left} == {"blue"}
    write_deployment(deployer.root, "blue", in_place("lab-3", 512))


def test_a_killed_terminal_ui_attaches_when_it_is_started_again_and_shows_the_end(deployer: Deployer, tmp_path: Path) -> None:
    write_deployment(deployer.root, "red", in_place("lab-1", 704))
    with opened(deployer, tmp_path) as ui:
        ui.until("red", "deployed")
        ui.press("2")
        ui.until("max_model_len")
        ui.press("g", "Space", "A")
        ui.until("Apply this?")
        ui.type("labtests")
        ui.press("Enter")
        ui.until("Apply this?", gone=True)
        ui.press("p")  # so that it cannot be over before the kill, however quick the host is
        ui.until("paused: p goes on")
        ui.kill_inside()
    assert deployer.json("status", "red")["hosts"][0]["unfinished"]
    folder = tmp_path / "again"
    folder.mkdir()
    with opened(deployer, folder) as again:
        again.until("paused: p goes on", "red", "1 host at work", deadline_s=60)
        again.press("p")
        again.until("✓ done: 1 host", "red answers at", deadline_s=120)
        again.press("q")
        assert again.ended() == 0
    deployer("plan", "red", "--detailed-exitcode", exit_code=0)


def test_a_host_that_is_cut_is_dimmed_within_its_deadline_and_comes_back(deployer: Deployer, ui: Terminal) -> None:
    ui.until("3/3 hosts", deadline_s=60)
    deployer.lab.cut("lab-2")
    try:
        began = time.monotonic()
        ui.until("2/3 hosts", "last seen", deadline_s=30)
        assert time.monotonic() - began < 15
        ui.press("Tab", "j", "k")
        ui.until("lab-1")  # the screen goes on
    finally:
        deployer.lab.heal("lab-2")
    ui.until("3/3 hosts", deadline_s=60)
    ui.press("q")
    assert ui.ended() == 0


def test_where_no_terminal_is_the_text_commands_are_named(deployer: Deployer) -> None:
    said = deployer("ui", exit_code=64).stderr
    assert "deployer status" in said
