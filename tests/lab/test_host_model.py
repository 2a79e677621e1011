"""The simulated host against a real one: the same operations on both give the same plans, the same steps, and the same answers to
a probe. So what the random walk finds on simulated hosts (tests/properties/test_walk.py) is said of real ones too.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.plan.aftermath import OF_DEPLOYMENT
from deployer.plan.steps import transactions
from deployer.plan.world import Options
from deployer.state.observed import Reached
from deployer.transport.fake import FakeHost, FakeTransport
from tests.lab.commands import write_deployment, written
from tests.lab.conftest import LabFleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HOST = "lab-2"
NAME = "mirror"
Seen = dict[str, Any]


def text(length: int, strategy: str, replicas: int = 1, more: str = "") -> str:
    return (
        f"model: {{path: models/tiny-chat}}\nengine: {{ctranslate2: {{quantization: float32, max_model_len: {length}}}}}\n"
        f"endpoint: {{open: true{more}}}\nplacement: {{hosts: [{HOST}]}}\nreplicas: {replicas}\n"
        f"rollout: {{strategy: {strategy}, min_healthy: 1s}}\n"
    )


def files(length: int, strategy: str, replicas: int = 1, more: str = "") -> Callable[[Fleet], Planned]:
    """The deployment's file says so, and is applied."""

    def act(fleet: Fleet) -> Planned:
        write_deployment(fleet.root, NAME, text(length, strategy, replicas, more))
        return fleet.again().plan(Options(names=(NAME,)))

    return act


def gone(fleet: Fleet) -> Planned:
    (fleet.root / f"deployments/{NAME}.yaml").unlink()
    return fleet.again().plan(Options(prune_approved=(NAME,)))


SCRIPT: dict[str, Callable[[Fleet], Planned]] = {
    "created": files(512, "recreate"),
    "updated in place": files(640, "recreate"),
    "updated beside": files(512, "blue_green"),
    "another route": files(512, "blue_green", more=", timeout: 61s"),
    "rolled back": lambda fleet: fleet.rollback(NAME, 2),
    "released": lambda fleet: fleet.plan(Options(names=(NAME,), release=(NAME,))),
    "two of them": files(512, "rolling", 2),
    "updated in turn": files(640, "rolling", 2),
    "stopped": lambda fleet: fleet.hold([NAME], "stopped"),
    "started": lambda fleet: fleet.hold([NAME], None),
    "nothing to do": files(640, "rolling", 2),
    "destroyed": gone,
}


def story(root: Path) -> dict[str, Seen]:
    """What was seen of each operation, one after another."""
    write_deployment(root, NAME, text(512, "recreate"))
    found = {}
    for name, act in SCRIPT.items():
        with Fleet.load(root) as fleet:
            planned = act(fleet)
            said = told(planned)
            report = planned.apply()
            states = {tx: told["state"] for tx, told in report.hosts[HOST].transactions.items() if tx.startswith(NAME)}
            reached = planned.fleet.probe()[HOST]
            planned.fleet.close()
        assert isinstance(reached, Reached)
        found[name] = {**said, "exit": report.exit_code, "states": states, **standing(reached.probe)}
    return found


def told(planned: Planned) -> Seen:
    """The plan, without what other tests may have left or taken: artifacts, packages, the host's gateway."""
    plan = planned.plan
    steps = [
        (t["id"], s["stage"], s["kind"], s["label"])
        for t in transactions(plan, HOST)
        if t.get("deployment") == NAME
        for s in t["steps"]
    ]
    changes = [(c.address, c.actions, c.reason, c.wave) for c in plan.changes if c.kind in OF_DEPLOYMENT]
    strategies = {name: (one.strategy, one.waves) for name, one in plan.rollouts.items()}
    return {"changes": changes, "rollouts": strategies, "steps": steps, "refusals": [r.what for r in plan.refusals]}


def standing(probe: Any) -> Seen:
    """What a probe says of the deployment. Its artifacts are other tests' as well: one of these may have made them elsewhere."""
    record = probe["records"].get(NAME)
    ours = f"-{NAME}-"
    return {
        "units": sorted((u["name"], u["active"], u["sub"], u["enabled"]) for u in probe["units"] if ours in u["name"]),
        "files": {path: digest for path, digest in probe["files"].items() if NAME in path},
        "ports": sorted((one["port"], one["unit"]) for one in probe["listening"] if ours in (one.get("unit") or "")),
        "record": record and (record["revision"], [r["name"] for r in record["resources"] if r["kind"] in OF_DEPLOYMENT]),
        "history": [one["revision"] for one in probe["history"].get(NAME, [])],
        "slots": (probe["roster"] or {}).get("slots", {}).get(NAME),
        "holds": sorted((probe["roster"] or {}).get("holds", {})),
        "left": (probe["lock"], probe["unfinished"], probe["foreign_units"], probe["unreadable"]),
    }


@pytest.fixture
def root(lab_fleet: LabFleet) -> Iterator[Path]:
    written(lab_fleet, {NAME: text(512, "recreate")})
    with Fleet.load(lab_fleet.root) as fleet:
        fleet.lock()
    yield lab_fleet.root
    (lab_fleet.root / f"deployments/{NAME}.yaml").unlink(missing_ok=True)


def test_a_simulated_host_tells_the_same_story_as_a_real_one(root: Path, tmp_path: Path) -> None:
    real = story(root)
    with contextlib.ExitStack() as stack:
        hosts = [FakeHost(path.stem, tmp_path) for path in sorted((root / "hosts").glob("lab-*.yaml"))]
        stack.enter_context(mock.patch("deployer.app.fleet.open_transport", return_value=FakeTransport(hosts)))
        simulated = story(root)
    assert [one["exit"] for one in real.values()] == [0] * len(SCRIPT)
    assert real["created"]["units"]
    for name in SCRIPT:
        for what, said in real[name].items():
            assert simulated[name][what] == said, f"{name}: {what}"
