"""Ten deployments on three hosts with different imaginary GPUs: the same places whatever the order of the files; who leaves moves
nobody; a drain says where each one goes and why. A fleet of its own, of which nothing is applied: what stands is what the roster
says that an apply would bring.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.app.fleet import Fleet
from deployer.execute import rosters
from deployer.lab import gpus
from deployer.lab.places import GIB
from tests.cli.conftest import relock
from tests.lab.commands import Deployer, add_model, borrow_hosts, write_deployment
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HOSTS = ("lab-1", "lab-2", "lab-3")
L4, L40S, H100 = ("NVIDIA L4", 24, "8.9"), ("NVIDIA L40S", 48, "8.9"), ("NVIDIA H100 80GB HBM3", 80, "9.0")
KINDS = {"lab-1": [L4] * 6, "lab-2": [H100] * 7, "lab-3": [L40S, L40S, L4]}
SETTINGS = "id: 91aced91\nname: placed\ngateway: {insecure: true, port: 29443, metrics: {port: 29404}}\n"
TEXT = """\
model: {path: models/tiny-chat}
engine: {vllm: {version: 0.33.0ARGS}}
endpoint: {open: true}
"""
Place = tuple[str, list[str]]  # host, GPUs
#: What each asks for, beside one GPU.
RULES = {
    "big": "placement: {gpu: H100}\n",
    "wide": "placement: {gpu_memory: 40GiB}\n",
    "small": "placement: {gpu: L4}\n",
    "pair": "",
    "packed": "placement: {strategy: pack}\n",
    "apart": "placement: {apart_from: [plain-1]}\n",
    **{f"plain-{number}": "" for number in range(4)},
}


def text(name: str) -> str:
    return TEXT.replace("ARGS", ", tensor_parallel: 2" if name == "pair" else "") + RULES[name]


@pytest.fixture(scope="module")
def mixed(lab_fleet: LabFleet) -> Iterator[LabFleet]:
    """The lab with other GPUs, and then with those that it had: two in lab-1."""
    roots = {name: lab_fleet.hosts[name].root for name in HOSTS}
    plain = (roots["lab-1"] / gpus.GPUS_FILE).read_text()
    try:
        for name, root in roots.items():
            listed = [
                gpus.LabGpu(index, f"GPU-{name}-{index}", size * GIB, capability=capability, name=kind)
                for index, (kind, size, capability) in enumerate(KINDS[name])
            ]
            gpus.install(root, listed)
        yield lab_fleet
    finally:
        (roots["lab-1"] / gpus.GPUS_FILE).write_text(plain)
        for name in HOSTS[1:]:
            lab_fleet.run(name, ["sh", "-c", "rm -f /usr/lib/*/libnvidia-ml.so.1 /etc/deployer-lab/gpus && ldconfig"])


def fleet_of(lab: LabFleet, root: Path, order: int) -> Deployer:
    """Its files written in an order of its own."""
    shuffled = random.Random(order)
    (root / "deployer.yaml").write_text(SETTINGS)
    borrow_hosts(lab, root, shuffled.sample(HOSTS, len(HOSTS)))
    file = root / "hosts/lab-1.yaml"
    file.write_text(file.read_text() + "gateway: true\n")
    add_model(root)
    config = root / "models/tiny-chat/config.json"  # a model that no host has: otherwise it would stand where others left it
    config.write_text(json.dumps({**json.loads(config.read_text()), "_name_or_path": "placed"}))
    for name in shuffled.sample(list(RULES), len(RULES)):
        write_deployment(root, name, text(name))
    relock(root)
    return Deployer(LabFleet(root))


@pytest.fixture(scope="module")
def placed(mixed: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployer]:
    yield fleet_of(mixed, tmp_path_factory.mktemp("placed"), 1)
    for name in HOSTS:
        mixed.run(name, ["rm", "-rf", "/var/lib/deployer/placed"])


@pytest.fixture(scope="module")
def standing(placed: Deployer) -> dict[str, Place]:
    """The ten have places, as the hosts know it."""
    planned = placed.json("plan")
    with Fleet.load(placed.root) as fleet:
        fleet.probe()
        who = {"id": fleet.spec.id, "name": fleet.spec.name}
        assert set(rosters.leave_roster(fleet.pool, HOSTS, who, planned["roster"]).values()) == {None}
    return slots(planned)


def slots(planned: dict[str, Any]) -> dict[str, Place]:
    """Where each replica stands."""
    every = planned["roster"]["slots"]
    return {f"{name}/{n}": (slot["host"], slot["gpus"]) for name, mine in every.items() for n, slot in mine.items()}


def test_the_order_of_the_files_changes_no_place(mixed: LabFleet, placed: Deployer, tmp_path: Path) -> None:
    found = slots(placed.json("plan"))
    assert slots(fleet_of(mixed, tmp_path, 2).json("plan")) == found
    assert len(found) == len(RULES) == 10
    assert {host for host, _ in found.values()} == set(HOSTS)
    assert found["big/0"][0] == "lab-2"
    assert found["wide/0"][1][0] not in {f"GPU-lab-1-{n}" for n in range(6)} | {"GPU-lab-3-2"}
    assert found["small/0"][1][0] in {f"GPU-lab-1-{n}" for n in range(6)} | {"GPU-lab-3-2"}
    assert len(found["pair/0"][1]) == 2
    assert found["apart/0"][0] != found["plain-1/0"][0]
    taken = [uuid for _, uuids in found.values() for uuid in uuids]
    assert len(taken) == len(set(taken)) == 11


def test_who_leaves_moves_nobody(placed: Deployer, standing: dict[str, Place]) -> None:
    file = placed.root / "deployments/plain-2.yaml"
    text = file.read_text()
    file.unlink()
    try:
        left = slots(placed.json("plan", "--prune"))
    finally:
        file.write_text(text)
    assert {name for name, where in standing.items() if left.get(name) != where} <= {"plain-2/0"}
    assert slots(placed.json("plan")) == standing, "and who comes back has its place"


def test_a_drain_moves_those_of_the_host_and_says_why_and_where_to(placed: Deployer, standing: dict[str, Place]) -> None:
    leaving = [name for name, (host, _) in standing.items() if host == "lab-3"]
    assert leaving
    with Fleet.load(placed.root) as fleet:
        planned = fleet.drain(["lab-3"]).plan
    assert planned.refusals == ()
    goes = slots({"roster": planned.roster})
    assert {name for name in standing if goes[name] != standing[name]} == set(leaving)
    assert all(goes[name][0] in ("lab-1", "lab-2") for name in leaving)
    said = {notice.what for notice in planned.notices if notice.code == "move"}
    assert said == {f"{name} moves: host lab-3 is drained" for name in leaving}
