"""A host in a bad state: a full disk, a port that somebody else has, a unit with our name that is not ours.

Each time: what a person is told, the exit code, and that nothing else has changed.
"""

import shutil
from collections.abc import Iterator

import pytest

from deployer.app.fleet import Fleet
from deployer.state.observed import Reached
from tests.lab.commands import REFERENCES, Deployer, ask, deployed, text_of, tiny_chat, until, write_deployment
from tests.lab.conftest import LabFleet
from tests.lab.controllers import applying

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST = "lab-1"
PLAIN = tiny_chat(HOST)
QUESTION = REFERENCES[2]


@pytest.fixture(scope="module")
def deployer(lab_fleet: LabFleet) -> Iterator[Deployer]:
    with deployed(lab_fleet, {"sturdy": PLAIN}) as run:
        yield run


def fingerprint(deployer: Deployer) -> str:
    """Of units, files, records, artifacts, runs, holds and roster on the host."""
    with Fleet.load(deployer.root) as fleet:
        found = fleet.probe([HOST])[HOST]
    assert isinstance(found, Reached)
    return str(found.probe["fingerprint"])


def answers(deployer: Deployer) -> bool:
    status, found = ask(deployer, "sturdy", QUESTION)
    return status == 200 and text_of(found) == QUESTION["text"]


def unit_and_port(deployer: Deployer) -> tuple[str, int]:
    (found,) = deployer.json("status", "sturdy")["deployments"]
    (unit,) = found["replicas"][0]["units"]
    return str(unit["unit"]), int(unit["port"])


@pytest.fixture
def small(deployer: Deployer) -> Iterator[str]:
    """A folder of the host with a file system of 8 MiB, where the next new model wants to be."""
    folder = "/var/lib/deployer/models/local--large"
    deployer.lab.run(HOST, ["mkdir", "-p", folder])
    deployer.lab.run(HOST, ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder])
    yield folder
    deployer.lab.run(HOST, ["umount", folder])
    deployer.lab.run(HOST, ["rmdir", folder])


def test_a_disk_that_fills_up_is_said_and_the_old_one_goes_on(deployer: Deployer, small: str) -> None:
    model = deployer.root / "models/large"
    shutil.copytree(deployer.root / "models/tiny-chat", model)
    (model / "extra.bin").write_bytes(b"\1" * (9 << 20))
    unit, _ = unit_and_port(deployer)
    before = deployer.lab.run(HOST, ["systemctl", "show", "-P", "InvocationID", unit]).stdout
    write_deployment(deployer.root, "sturdy", PLAIN.replace("models/tiny-chat", "models/large"))
    try:
        deployer("lock")
        print_before = fingerprint(deployer)
        done = deployer("apply", "--yes", exit_code=5)
        assert "the disk is full" in done.stdout
        assert "free some space on that disk" in done.stdout
        assert fingerprint(deployer) == print_before
        assert deployer.lab.run(HOST, ["ls", "-A", small]).stdout == ""
        assert deployer.lab.run(HOST, ["systemctl", "show", "-P", "InvocationID", unit]).stdout == before
        assert answers(deployer)
    finally:
        shutil.rmtree(model)
        write_deployment(deployer.root, "sturdy", PLAIN)
        deployer("lock")
    deployer("plan", "--detailed-exitcode", exit_code=0)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_brought(deployer: Deployer) -> None:
    file = deployer.root / f"hosts/{HOST}.yaml"
    plain = file.read_text()
    deployer.lab.run(HOST, ["mkdir", "-p", "/mnt/small"])
    deployer.lab.run(HOST, ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/mnt/small"])
    before = fingerprint(deployer)
    file.write_text(plain + "paths: {models: /mnt/small/models}\n")
    try:
        refused = deployer("apply", "--yes", exit_code=4)
        assert f"{HOST} cannot convert models/tiny-chat as float32: model and result take about" in refused.stderr
        assert "in /mnt/small/models, 64.0 MiB is free" in refused.stderr
        assert deployer.lab.run(HOST, ["ls", "-A", "/mnt/small"]).stdout == ""
    finally:
        file.write_text(plain)
        deployer.lab.run(HOST, ["umount", "/mnt/small"])
    assert fingerprint(deployer) == before
    assert answers(deployer)


def test_a_port_that_a_program_of_somebody_else_has_is_refused(deployer: Deployer) -> None:
    unit, port = unit_and_port(deployer)
    deployer.lab.run(HOST, ["systemctl", "stop", unit])
    squatter = ["systemd-run", "--unit=squatter", "python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    deployer.lab.run(HOST, squatter)
    try:
        until(lambda: listens(deployer, port), "the squatter listens")
        before = fingerprint(deployer)
        refused = deployer("apply", "--yes", exit_code=4)
        assert f"port {port} of {HOST} is in use by a program that is not ours" in refused.stderr
        assert fingerprint(deployer) == before
        assert deployer.lab.run(HOST, ["systemctl", "is-active", "squatter"]).stdout.strip() == "active"
    finally:
        deployer.lab.run(HOST, ["systemctl", "stop", "squatter"])
    deployer("apply", "--yes")
    assert answers(deployer)


def test_the_doctor_sees_a_reboot_that_is_due_until_it_is_no_more(deployer: Deployer) -> None:
    """A kernel's modules beside none of the running one's: as an update leaves them that removed those."""
    folder = "/lib/modules/99.0.0-1-amd64"

    def due() -> list[str]:
        return [f["what"] for f in deployer.json("doctor", HOST, exit_code=None)["findings"] if f["id"] == "reboot"]

    assert due() == []
    deployer.lab.run(HOST, ["mkdir", "-p", folder])
    deployer.lab.run(HOST, ["touch", f"{folder}/modules.dep"])
    try:
        [what] = due()
        assert "were removed" in what
        assert "last reboot" in what
    finally:
        deployer.lab.run(HOST, ["rm", "-r", folder])
    assert due() == []


def listens(deployer: Deployer, port: int) -> bool:
    return bool(deployer.lab.run(HOST, ["ss", "-Hltn", f"sport = :{port}"]).stdout)


def test_a_port_that_is_taken_between_plan_and_apply_fails_by_name_and_gives_the_old_one_back(deployer: Deployer) -> None:
    """A program that listens on the port as soon as the old replica lets go of it, and leaves when that one is put back."""
    unit, port = unit_and_port(deployer)
    script = (
        "import socket, time\n"
        "while True:\n"
        "    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        f"    try: s.bind(('127.0.0.1', {port})); s.listen(); break\n"
        "    except OSError: s.close(); time.sleep(0.002)\n"
        "time.sleep(600)\n"
    )
    write_deployment(deployer.root, "sturdy", PLAIN.replace("512", "640") + "rollout: {strategy: recreate}\n")
    deployer.lab.run(HOST, ["systemd-run", "--collect", "--unit=greedy", "python3", "-c", script])
    try:
        with applying(deployer) as controller:
            failed = controller.first(lambda e: e.get("state") == "failed", "the new one does not come up")
            deployer.lab.run(HOST, ["systemctl", "stop", "greedy"])  # before the old one wants its port back for long
            code, events = controller.end()
        assert code == 5
        assert failed["data"]["cause"] == "another process listens on the replica's port"
        assert events[-1]["failures"][0]["undone"]
        assert unit_and_port(deployer)[0] == unit
        assert answers(deployer)
    finally:
        deployer.lab.run(HOST, ["systemctl", "stop", "greedy"], check=False)
    deployer("apply", "--yes")
    deployer("plan", "--detailed-exitcode", exit_code=0)
    assert answers(deployer)
    assert unit_and_port(deployer)[0] != unit
    write_deployment(deployer.root, "sturdy", PLAIN)
    deployer("apply", "--yes")


def test_a_unit_with_our_name_that_is_not_ours_is_refused_and_left_alone(deployer: Deployer) -> None:
    write_deployment(deployer.root, "sturdy", PLAIN.replace("512", "768"))
    (change,) = [c for c in deployer.json("plan")["changes"] if c["kind"] == "replica"]
    path = f"/etc/systemd/system/{change['after']['payload']['unit']}"
    foreign = "[Service]\nExecStart=/bin/true\n"
    deployer.lab.run(HOST, ["sh", "-c", f"cat > {path}"], stdin=foreign)
    try:
        before = fingerprint(deployer)
        refused = deployer("apply", "--yes", exit_code=4)
        assert f"{HOST} has a unit {path.rpartition('/')[2]} that is not ours" in refused.stderr
        assert deployer.lab.run(HOST, ["cat", path]).stdout == foreign
        assert fingerprint(deployer) == before
        assert answers(deployer)
    finally:
        deployer.lab.run(HOST, ["rm", path])
    write_deployment(deployer.root, "sturdy", PLAIN)
    deployer("plan", "--detailed-exitcode", exit_code=0)
