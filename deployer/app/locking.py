"""Brings `deployer.lock` up to date, and says whether it is. Called by Fleet.lock, .plan and .validate."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from deployer.app.secretvalues import SecretValues
from deployer.engines import ENGINES
from deployer.engines.front import environment_of
from deployer.errors import LockfileError, Problem, UsageError
from deployer.lock import check
from deployer.lock.check import behind
from deployer.lock.file import read_lock
from deployer.lock.folder import digest_folders
from deployer.lock.request import LockRequest, Progress, WantedModel
from deployer.lock.tools import uv_path, uv_tool
from deployer.plan.needs import Needed, needed
from deployer.spec.load import Loaded
from deployer.state.locked import Locked, LockedTool


def need(loaded: Loaded) -> Needed:
    return needed(loaded.fleet, ENGINES)


def request(loaded: Loaded, secrets: SecretValues, existing: Locked, upgrade: frozenset[str] | Literal["all"]) -> LockRequest:
    wanted = need(loaded)
    models = []
    for found in wanted.models:
        spec = loaded.fleet.deployments[found.deployment]
        where = loaded.positions.of(f"deployment:{found.deployment}", *found.path)
        models.append(
            WantedModel(
                need=found.need,
                token=secrets.get(found.token.id) if found.token is not None else None,
                accept_license=spec.model.accept_license,
                where=str(where) if where else None,
            )
        )
    return LockRequest(loaded.root, tuple(models), wanted.environments, loaded.fleet.packages, existing, upgrade)


def update(
    loaded: Loaded, secrets: SecretValues, upgrade: Iterable[str] | Literal["all"], on_progress: Callable[[Progress], None]
) -> Locked:
    """Resolves what is missing or behind (or all that `upgrade` names), writes the lock, and returns it."""
    from deployer.lock import file, resolve  # late: they bring huggingface_hub

    existing = existing_lock(loaded.root)
    if upgrade != "all":
        _known(loaded, existing, upgrade)
    anew: frozenset[str] | Literal["all"] = "all" if upgrade == "all" else frozenset(upgrade)
    locked = resolve.update(request(loaded, secrets, existing, anew), on_progress)
    file.write_lock(loaded.root, locked)
    return locked


def _known(loaded: Loaded, existing: Locked, keys: Iterable[str]) -> None:
    """Raises UsageError for a key that neither the files nor the lock have."""
    wanted = need(loaded)
    everything = {*(found.need.key for found in wanted.models), *(one.name for one in wanted.environments)}
    everything |= {*existing.models, *existing.environments}
    for key in keys:
        if key not in everything:
            close = difflib.get_close_matches(key, everything, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(everything)) or 'none yet'}"
            raise UsageError(f"nothing is locked under the name {key}", hint=hint)


def existing_lock(root: Path) -> Locked:
    """What is locked; nothing when there is no file yet."""
    return read_lock(root) if (root / "deployer.lock").exists() else Locked()


class LockBehind(LockfileError):
    """The lock does not say all that the files want. Holds one problem per thing."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("deployer.lock is behind the files", where="deployer.lock", hint="run `deployer lock`")


def current_lock(loaded: Loaded) -> Locked:
    """Raises LockfileError when the lock is missing, LockBehind when it is behind the files."""
    if not loaded.fleet.deployments and not (loaded.root / "deployer.lock").exists():
        return Locked()
    locked = read_lock(loaded.root)
    problems = behind(locked, _asked(loaded, locked))
    if problems:
        raise LockBehind(problems)
    return locked


def _asked(loaded: Loaded, locked: Locked) -> check.Needed:
    wanted = need(loaded)
    models = tuple(found.need for found in wanted.models)
    places = {}
    for found in wanted.models:
        place = loaded.positions.of(f"deployment:{found.deployment}", *found.path)
        if place is not None:
            places[found.need.key] = place
    for name, spec in loaded.fleet.deployments.items():
        place = loaded.positions.of(f"deployment:{name}", "engine")
        for environment in ENGINES[spec.engine.name].environments(spec):
            if place is not None:
                places.setdefault(environment.name, place)
        handler = environment_of(spec)
        place = loaded.positions.of(f"deployment:{name}", "handler")
        if handler is not None and place is not None:
            places.setdefault(handler.name, place)
    folders = {key: model.digest for key, model in digest_folders(loaded.root, models).items()}
    return check.Needed(models, wanted.environments, loaded.fleet.packages.targets, folders, places, _tools(locked))


def _tools(locked: Locked) -> dict[str, LockedTool]:
    """Our uv, when it is not the one that is locked. Its size tells: reading fifty megabytes before each plan would cost more
    than the plan.
    """
    found = locked.tools.get("uv")
    return {} if found is not None and uv_path().stat().st_size == found.size else {"uv": uv_tool()}
