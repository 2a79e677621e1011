"""`deployer lock`: brings the lock in line with the files. What is locked and still wanted stays as it is, what is new is
looked up, what nobody wants goes. Called by the app, which then calls file.write_lock.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial

from deployer.errors import LockfileError
from deployer.lock.digests import DigestCache
from deployer.lock.environment import lock_environment
from deployer.lock.folder import digest_folder
from deployer.lock.indexes import indexes
from deployer.lock.request import LockFailed, LockRequest, OnProgress, Progress, WantedModel
from deployer.lock.target import wanted_targets
from deployer.lock.tensors import faults
from deployer.lock.tools import uv_tool
from deployer.state.locked import Locked, LockedEnvironment, LockedModel, LockedTarget
from deployer.state.needs import EnvironmentNeed

_AT_ONCE = 4

Jobs = dict[tuple[str, str], Callable[[], LockedModel | LockedTarget]]  # (key, target or "") → work
Results = dict[tuple[str, str], LockedModel | LockedTarget]


def update(request: LockRequest, on_progress: OnProgress = lambda _: None) -> Locked:
    """The new lock; nothing is written. Needs no network when nothing must be looked up.

    Raises LockfileError, or LockFailed with all of them when there are several. `on_progress` is called from this thread.
    """
    errors: list[LockfileError] = []
    models, environments = _models(request), _environments(request, errors)
    cache = DigestCache(request.root)
    jobs: Jobs = {}
    for key, wanted in models.items():
        if wanted.need.path or request.upgrades(key) or key not in request.existing.models:
            jobs[key, ""] = partial(_lock_model, request, wanted, cache)
    for name, (need, targets) in environments.items():
        known = _known_targets(request, need)
        jobs |= {(name, t): partial(_lock_target, request, need, t) for t in targets if t not in known}
    done = _run(jobs, on_progress, errors, request.existing)
    cache.save()
    if errors:
        raise errors[0] if len(errors) == 1 else LockFailed(tuple(errors))
    locked = Locked(
        models={key: _model(done.get((key, "")), request.existing.models.get(key)) for key in sorted(models)},
        environments={name: _environment(request, *environments[name], done) for name in sorted(environments)},
        tools={"uv": uv_tool()},
    )
    _tell(request, models, locked, jobs, on_progress)
    return locked


def _models(request: LockRequest) -> dict[str, WantedModel]:
    """One per key; of several that want the same model, one that has a token asks for it."""
    found: dict[str, WantedModel] = {}
    for wanted in request.models:
        key = wanted.need.key
        if wanted.need.host_path is None and (key not in found or (wanted.token and not found[key].token)):
            found[key] = wanted
    return found


def _environments(request: LockRequest, errors: list[LockfileError]) -> dict[str, tuple[EnvironmentNeed, tuple[str, ...]]]:
    found: dict[str, tuple[EnvironmentNeed, tuple[str, ...]]] = {}
    for need in request.environments:
        other = found.get(need.name)
        if other is None:
            try:
                found[need.name] = need, wanted_targets(need, request.packages.targets)
            except LockfileError as error:
                errors.append(error)
        elif other[0].asked != need.asked:
            hint = "deployments that share an engine version must ask for the same requirements, exclude and index_url"
            errors.append(LockfileError(f"two deployments want different packages in one environment, {need.name}", hint=hint))
    return found


def _known_targets(request: LockRequest, need: EnvironmentNeed) -> Mapping[str, LockedTarget]:
    known = request.existing.environments.get(need.name)
    return known.targets if known and known.asked == need.asked and not request.upgrades(need.name) else {}


def _lock_model(request: LockRequest, wanted: WantedModel, cache: DigestCache) -> LockedModel:
    try:
        need = wanted.need
        if need.path:
            return digest_folder(request.root / need.path, name=need.path, cache=cache, plain=need.plain, file=need.file)
        from deployer.lock.hub import lock_hub_model  # late: huggingface_hub takes a while to load

        return lock_hub_model(wanted.need, wanted.token)
    except LockfileError as error:
        error.where = wanted.where or error.where
        raise


def _lock_target(request: LockRequest, need: EnvironmentNeed, target: str) -> LockedTarget:
    return lock_environment(need, target, indexes(request.root, request.packages))


def _run(jobs: Jobs, on_progress: OnProgress, errors: list[LockfileError], existing: Locked) -> Results:
    done: Results = {}
    with ThreadPoolExecutor(_AT_ONCE, "lock") as pool:
        running: dict[Future[LockedModel | LockedTarget], tuple[str, str]] = {}
        try:
            for name, job in jobs.items():
                on_progress(_progress(name, "resolving"))
                running[pool.submit(job)] = name
            for future in as_completed(running):
                try:
                    found = done[running[future]] = future.result()
                    same = isinstance(found, LockedModel) and existing.models.get(found.key) == found
                    on_progress(_progress(running[future], "kept" if same else "locked"))
                except LockfileError as error:
                    errors.append(error)
                    on_progress(_progress(running[future], "failed", error.what.splitlines()[0]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    errors.sort(key=lambda error: (error.where or "", error.what))
    return done


def _progress(name: tuple[str, str], state: str, detail: str = "") -> Progress:
    key, target = name
    return Progress("environment" if target else "model", key, state, detail or target)


def _model(new: LockedModel | LockedTarget | None, old: LockedModel | None) -> LockedModel:
    found = new if isinstance(new, LockedModel) else old
    assert found is not None
    return found


def _environment(request: LockRequest, need: EnvironmentNeed, targets: tuple[str, ...], done: Results) -> LockedEnvironment:
    known = dict(_known_targets(request, need))
    fresh = {t: found for t in targets if isinstance(found := done.get((need.name, t)), LockedTarget)}
    known.update(fresh)
    return LockedEnvironment(need.name, need.requirements, need.exclude, need.asked, {t: known[t] for t in targets})


def _tell(request: LockRequest, models: Mapping[str, WantedModel], locked: Locked, jobs: Jobs, on_progress: OnProgress) -> None:
    for progress in _news(request.existing, locked, jobs):
        on_progress(progress)
    for key, wanted in models.items():
        if wanted.need.path:
            for file, why in faults(request.root / wanted.need.path, locked.models[key].files):
                on_progress(Progress("model", key, "note", f"{wanted.need.path}/{file}: {why}"))
        license = locked.models[key].facts.license
        if license and wanted.accept_license and wanted.accept_license != license:
            on_progress(Progress("model", key, "note", f"its licence is {license}, the YAML accepts {wanted.accept_license}"))


def _news(old: Locked, new: Locked, jobs: Jobs) -> Iterator[Progress]:
    looked_up = {key for key, _ in jobs}
    for key, model in new.models.items():
        before = old.models.get(key)
        if before is not None and before.digest != model.digest:
            yield Progress("model", key, "changed", f"{_short(before)} → {_short(model)}")
        elif key not in looked_up:
            yield Progress("model", key, "kept", _short(model))
    for name in new.environments:
        if name not in looked_up:
            yield Progress("environment", name, "kept")
    yield from (Progress("model", key, "dropped") for key in sorted(set(old.models) - set(new.models)))
    yield from (Progress("environment", name, "dropped") for name in sorted(set(old.environments) - set(new.environments)))
    tool, was = new.tools["uv"], old.tools.get("uv")
    if was is not None and was != tool:
        yield Progress("tool", "uv", "changed", f"{was.version} → {tool.version}")


def _short(model: LockedModel) -> str:
    return (model.commit or model.digest)[:12]
