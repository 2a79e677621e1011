"""What can be said about the files without asking anybody: spec, engines' settings, the lock. Called by Fleet.load."""

from collections.abc import Mapping
from pathlib import Path

from deployer.engines import ENGINES, settings_models
from deployer.engines.base import TakesAdapters, TakesFiles
from deployer.errors import Problem, SpecError
from deployer.spec.load import Loaded, load_fleet
from deployer.spec.problems import ordered, problem_at


def load(root: Path, instead: Mapping[str, str | None] | None = None) -> Loaded:
    """Raises SpecError with every problem of every file: those of the YAML, then those that only an engine can see.
    `instead`: texts that count as if they stood in these files.
    """
    loaded = load_fleet(root, settings_models(), instead)
    found = complaints(loaded)
    if found:
        raise SpecError(ordered(found))
    return loaded


def complaints(loaded: Loaded) -> list[Problem]:
    """Settings that an engine would swallow, refuse or misread."""
    found = []
    for name, spec in loaded.fleet.deployments.items():
        engine = ENGINES[spec.engine.name]
        if spec.adapters and not isinstance(engine, TakesAdapters):
            others = " or ".join(name for name, other in ENGINES.items() if isinstance(other, TakesAdapters))
            what = f"the engine {engine.name} has no adapters"
            found.append(problem_at(loaded.positions, f"deployment:{name}", ("adapters",), what, f"use {others}"))
        if spec.model.file is not None and not isinstance(engine, TakesFiles):
            others = " or ".join(name for name, other in ENGINES.items() if isinstance(other, TakesFiles))
            what = f"the engine {engine.name} serves a whole folder, not one file of it"
            found.append(problem_at(loaded.positions, f"deployment:{name}", ("model", "file"), what, f"use {others}"))
        for said in engine.complaints(spec):
            found.append(problem_at(loaded.positions, f"deployment:{name}", said.path, said.message, said.hint))
    return found
