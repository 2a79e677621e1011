"""Is the lock behind the files? Pure; the app asks before every plan and reports what comes back with exit code 3."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deployer.errors import LockfileError, Problem
from deployer.lock.target import wanted_targets
from deployer.spec.source import Source
from deployer.state.locked import Locked, LockedEnvironment, LockedTool
from deployer.state.needs import EnvironmentNeed, ModelNeed

_HINT = "run `deployer lock`, and review the difference in git"


@dataclass(frozen=True, slots=True)
class Needed:
    """What the YAML wants. `folders`: content digests as they are now, by model key (folder.digest_folders); a folder that
    is not in it is not compared. `places`: where a model key or an environment's name was asked for. `tools`: the
    programs at hand; empty to accept whatever is locked.
    """

    models: tuple[ModelNeed, ...] = ()
    environments: tuple[EnvironmentNeed, ...] = ()
    targets: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Source] = field(default_factory=dict)
    tools: Mapping[str, LockedTool] = field(default_factory=dict)


def behind(locked: Locked, needed: Needed) -> list[Problem]:
    """One problem per thing that must be locked again; empty when the lock says all that the YAML wants."""
    problems = [*_models(locked, needed), *_environments(locked, needed), *_tools(locked, needed)]
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column, p.message))


def _models(locked: Locked, needed: Needed) -> Iterator[Problem]:
    for need in needed.models:
        if need.host_path is not None:
            continue
        found = locked.models.get(need.key)
        if found is None:
            other = next((m for m in locked.models.values() if need.repo and m.name == need.repo), None)
            what = f"{need.repo or need.path} is not in deployer.lock"
            if other is not None:
                what = f"{need.repo} is locked at revision {other.revision}, the file asks for {need.revision}"
            yield _problem(needed, need.key, what)
        elif need.key in needed.folders and needed.folders[need.key] != found.digest:
            yield _problem(needed, need.key, f"the folder {need.path} is not what deployer.lock says: its files have changed")


def _environments(locked: Locked, needed: Needed) -> Iterator[Problem]:
    for need in needed.environments:
        found = locked.environments.get(need.name)
        if found is None:
            yield _problem(needed, need.name, f"the environment {need.name} is not in deployer.lock")
            continue
        if found.asked != need.asked:
            yield _problem(
                needed, need.name, f"the environment {need.name} was locked for other packages: {_difference(found, need)}"
            )
            continue
        try:
            missing = [t for t in wanted_targets(need, needed.targets) if t not in found.targets]
        except LockfileError as error:
            yield Problem("deployer.yaml", 0, 0, error.what, error.hint)
            continue
        for target in missing:
            yield _problem(needed, need.name, f"the environment {need.name} is not locked for the target {target}")


def _difference(found: LockedEnvironment, need: EnvironmentNeed) -> str:
    """What the lock had and the YAML wants, in requirement lines."""
    gone = sorted(set(found.requirements) - set(need.requirements)) + [
        f"without {n}" for n in sorted(set(found.exclude) - set(need.exclude))
    ]
    new = sorted(set(need.requirements) - set(found.requirements)) + [
        f"without {n}" for n in sorted(set(need.exclude) - set(found.exclude))
    ]
    if not gone and not new:
        return "another index or Python is wanted now"
    return "; ".join(filter(None, (f"no longer {', '.join(gone)}" if gone else "", f"now also {', '.join(new)}" if new else "")))


def _tools(locked: Locked, needed: Needed) -> Iterator[Problem]:
    for name, at_hand in needed.tools.items():
        found = locked.tools.get(name)
        if found is None:
            yield _problem(needed, name, f"the tool {name} is not in deployer.lock")
        elif found.sha256 != at_hand.sha256:
            same = found.version == at_hand.version
            what = f"deployer.lock pins {name} {found.version}, here is {'another build of it' if same else at_hand.version}"
            yield _problem(needed, name, what)


def _problem(needed: Needed, key: str, what: str) -> Problem:
    place = needed.places.get(key)
    if place is None:
        return Problem("deployer.lock", 0, 0, what, _HINT)
    return Problem(place.file, place.line, place.column, what, _HINT)
