"""What can be said about the files without asking anybody: spec, engines' settings, policies. Called by Fleet.load, validate."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from deployer.engines import ENGINES, front, settings_models, sharing
from deployer.engines.base import TakesAdapters, TakesFiles
from deployer.errors import LockfileError, Problem, SpecError
from deployer.plan.artifacts import locked_model
from deployer.plan.policies import Broken, broken, waiting
from deployer.spec.load import Loaded, load_fleet
from deployer.spec.models import DeploymentSpec
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
        found += [problem for _, problem in of_engine(loaded, spec)]
    return found


def of_engine(loaded: Loaded, spec: DeploymentSpec) -> Iterator[tuple[tuple[str | int, ...], Problem]]:
    """What only the engine, and what stands in front of it, can see in one deployment; with the path that it is about."""
    engine = ENGINES[spec.engine.name]
    for said in (*engine.complaints(spec), *front.complaints(spec), *sharing.complaints(spec, engine.gpus(spec))):
        document = f"deployment:{spec.name}"
        yield said.path, problem_at(loaded.positions, document, said.path, said.message, said.hint, at_key=said.at_key)


def policies(loaded: Loaded) -> tuple[tuple[Broken, ...], tuple[str, ...]]:
    """What the deployments break as far as the files and the lock tell, and the policies that only a plan can judge."""
    if not loaded.fleet.policies:
        return (), ()
    from deployer.lock.file import read_lock

    try:
        locked = read_lock(loaded.root)
    except LockfileError:
        locked = None
    found = broken(loaded.fleet, loaded.positions, loaded.fleet.deployments.values(), locked, None)
    return tuple(found), waiting(loaded.fleet, locked=locked is not None)


def check_models(loaded: Loaded) -> None:
    """Raises SpecError for what an engine cannot serve, as far as deployer.lock knows them. A plan refuses them too."""
    from deployer.lock.file import read_lock

    try:
        locked = read_lock(loaded.root)
    except LockfileError:
        return  # not there yet, or to be made anew: what is wrong with it is said by whoever needs it
    found = []
    for name, spec in loaded.fleet.deployments.items():
        model = locked_model(locked, spec)
        for said in ENGINES[spec.engine.name].check_model(spec, model) if model else ():
            found.append(problem_at(loaded.positions, f"deployment:{name}", said.path, said.message, said.hint))
    if found:
        raise SpecError(ordered(found))
