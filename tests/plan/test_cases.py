"""Situations as files: YAML in, plan text out.

tests/cases/plan/<situation>/
    earlier/     the fleet that was applied before that (may be missing)
    before/      the fleet that was applied earlier (may be missing)
    fleet/       the fleet now
    world.yaml   hosts: {name: {gpus: 2, ...fields of the probe}}, unreachable: {name: why},
                 options: {prune: true}, dropin: [host], rollback: {deployment: revision}, held: the same, applied earlier,
                 lost: {host: kind of artifact}
    plan.txt     what a person reads

After a deliberate change: `python -m tests.plan.test_cases` writes plan.txt again; read the difference before you keep it.
"""

import copy
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.engines import ENGINES, settings_models
from deployer.lock.file import read_lock
from deployer.plan.make import make_plan
from deployer.plan.text import render
from deployer.plan.world import HoldRequest, Options, World
from deployer.spec.load import load_fleet
from deployer.state.locked import LockedTool
from deployer.state.observed import Reached, Unreached
from tests.plan.worlds import apply_to, probe

CASES = Path(__file__).parent.parent / "cases" / "plan"
SITUATIONS = sorted(p.name for p in CASES.iterdir() if p.is_dir() and not p.name.startswith("_"))
SERVE = LockedTool("serve", "0.1.0", "f" * 64, 40_000, "any")
HANDLER = LockedTool("handler", "0.1.0", "e" * 64, 40_000, "any")


def world(fleet_dir: Path, said: dict[str, Any], probes: dict[str, Any]) -> World:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(CASES / "_lock", root, dirs_exist_ok=True)
        shutil.copytree(fleet_dir, root, dirs_exist_ok=True)
        (root / "models" / "tiny-chat").mkdir(parents=True, exist_ok=True)
        loaded = load_fleet(root, settings_models())
        locked = read_lock(root)
    observed: dict[str, Reached | Unreached] = {n: Reached(n, p) for n, p in probes.items() if n in loaded.fleet.hosts}
    for name, why in said.get("unreachable", {}).items():
        observed[name] = Unreached(name, "timeout", why)
    options = Options(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.get("options", {}).items()})
    back = said.get("rollback", {})
    if back:
        holds = tuple(HoldRequest(n, "rolled-back", "ada@desk", "slow answers", revision=number) for n, number in back.items())
        options = replace(options, names=tuple(back), holds=holds)
    tools = {"serve": SERVE, "handler": HANDLER}
    return World(
        loaded.fleet,
        loaded.positions,
        locked,
        observed,
        ENGINES,
        "2026-11-20T12:00:00Z",
        options=options,
        tools=tools,
        who="ada@desk",
    )


def plan_text(case: Path) -> str:
    said = yaml.safe_load((case / "world.yaml").read_text()) or {}
    probes = {}
    for name, fields in said.get("hosts", {}).items():
        fields = copy.deepcopy(fields or {})
        probes[name] = probe(name, gpus=fields.pop("gpus", 0), **fields)
    steps = [(case / name, {}) for name in ("earlier", "before") if (case / name).is_dir()]
    steps += [(case / "before", {"rollback": said["held"]})] if "held" in said else []
    for folder, asked in steps:
        earlier = make_plan(world(folder, asked, probes))
        assert earlier.refusals == (), earlier.refusals
        for name, found in probes.items():
            apply_to(found, earlier, name)
    for name, kind in said.get("lost", {}).items():
        probes[name]["artifacts"] = [a for a in probes[name]["artifacts"] if a["kind"] != kind]
    for name in said.get("dropin", []):
        unit = next(u for u in probes[name]["units"] if "gateway" not in u["name"])
        unit["dropins"] = [f"/etc/systemd/system/{unit['name']}.d/override.conf"]
    reached = {n: p for n, p in probes.items() if n not in said.get("unreachable", {})}
    return render(make_plan(world(case / "fleet", said, reached)), seconds=0.9)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_plan_reads_as_it_is_written_down(situation: str) -> None:
    assert plan_text(CASES / situation) == (CASES / situation / "plan.txt").read_text()


if __name__ == "__main__":
    for name in sys.argv[1:] or SITUATIONS:
        (CASES / name / "plan.txt").write_text(plan_text(CASES / name))
