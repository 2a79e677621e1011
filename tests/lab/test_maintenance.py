"""A host is drained under load: its replicas move, and no client sees anything of it."""

from collections.abc import Iterator

import pytest

from tests.lab.commands import Deployer, as_gateway, forget, written
from tests.lab.conftest import LabFleet
from tests.lab.load import load

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

CHAT = """\
model: {path: models/tiny-chat}
engine: {ctranslate2: {quantization: float32, max_model_len: 512}}
replicas: 2
endpoint: {open: true}
placement: {hosts: [lab-2, lab-3]}
"""


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    """Both replicas of `mover` on lab-2, since lab-3 was cordoned when they were placed; lab-1 is the gateway."""
    with as_gateway(lab_fleet, "lab-1"):
        run = written(lab_fleet, {"mover": CHAT})
        (lab_fleet.root / "deployer.lock").unlink(missing_ok=True)  # of the tests before
        run("lock")
        run("hosts", "cordon", "lab-3", "--why", "not yet")
        run("apply", "--yes")
        run("hosts", "uncordon", "lab-3")
        yield run
        run("hosts", "uncordon", "lab-1", "lab-2", "lab-3", exit_code=None)
        forget(lab_fleet, "mover")


def standing(deployer: Deployer) -> list[str]:
    (found,) = deployer.json("status", "mover")["deployments"]
    assert found["state"] == "deployed", found
    return [unit["host"] for replica in found["replicas"] for unit in replica["units"]]


def routes(deployer: Deployer, host: str) -> str:
    return deployer.lab.run(host, ["sh", "-c", "cat /etc/deployer/labtests/_gateway/*mover*"]).stdout


def hold(deployer: Deployer, host: str) -> dict[str, str] | None:
    (found,) = [h for h in deployer.json("hosts", "list", host)["hosts"]]
    return found["hold"]


def test_a_drain_under_load_fails_no_request(deployer: Deployer) -> None:
    assert standing(deployer) == ["lab-2", "lab-2"]
    url = deployer.json("endpoint", "mover")["url"]
    with load(url, model="mover", clients=3, first=100) as running:
        deployer("hosts", "drain", "lab-2", "--yes", "--why", "new disks")
        running.wait_for(100)
    print(running.result)
    assert running.result.failed == 0, running.result
    assert running.result.total >= 300
    assert standing(deployer) == ["lab-3", "lab-3"]
    units = deployer.lab.run("lab-2", ["systemctl", "list-units", "--all", "--plain", "--no-legend", "deployer-labtests-mover-*"])
    assert units.stdout.strip() == ""


def test_what_was_drained_is_in_no_gateways_routes_and_stays_empty(deployer: Deployer) -> None:
    assert "server lab-3 " in routes(deployer, "lab-1")
    assert "server lab-2 " not in routes(deployer, "lab-1")
    assert (hold(deployer, "lab-2") or {})["why"] == "new disks"
    deployer("plan", "--detailed-exitcode", exit_code=0)
    deployer("apply", "--yes")
    assert standing(deployer) == ["lab-3", "lab-3"]


def test_a_drain_that_fits_nowhere_is_refused_and_nothing_moves(deployer: Deployer) -> None:
    done = deployer("hosts", "drain", "lab-3", "--yes", exit_code=4)
    assert "has no host to stand on" in done.stdout
    assert "lab-2, lab-3: is drained" in done.stdout
    assert hold(deployer, "lab-3") is None
    assert standing(deployer) == ["lab-3", "lab-3"]


def test_after_uncordon_there_is_room_again_and_the_way_back_fails_no_request_either(deployer: Deployer) -> None:
    deployer("hosts", "uncordon", "lab-2")
    assert standing(deployer) == ["lab-3", "lab-3"]
    url = deployer.json("endpoint", "mover")["url"]
    with load(url, model="mover", clients=3, first=100) as running:
        deployer("hosts", "drain", "lab-3", "--yes", "--until", "2h")
        running.wait_for(100)
    print(running.result)
    assert running.result.failed == 0, running.result
    assert standing(deployer) == ["lab-2", "lab-2"]
