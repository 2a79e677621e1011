"""The model that a person means by a word: a deployment of the fleet, a model that deployer.lock has, an entry of the catalogue,
a folder or a GGUF file here, else a repository of the hub. Called by `deployer fit`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.app import catalog
from deployer.app.locking import existing_lock
from deployer.errors import UsageError
from deployer.lock.folder import look_at_folder
from deployer.plan.artifacts import highest_rank, model_need
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import Locked, LockedModel
from deployer.state.needs import ModelNeed

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet
    from deployer.spec.catalog import CatalogEntry


@dataclass(frozen=True, slots=True)
class Which:
    """`base`: the deployment that was named, whose settings count. `whence`: in words, where the facts are from. `rank`: the
    highest of its LoRA adapters. `settings`: by engine, those that an entry of the catalogue begins with.
    """

    model: LockedModel
    base: DeploymentSpec | None
    whence: str
    rank: int = 0
    settings: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


def which_model(fleet: "Fleet", word: str, file: str | None = None) -> Which:
    """`file`: one GGUF file of the folder or repository. Raises UsageError for a word that is nothing of all that, LockfileError
    for a model that cannot be read.
    """
    locked = existing_lock(fleet.root)
    spec = fleet.spec.deployments.get(word)
    if spec is not None and file is None:
        return _of_deployment(fleet, spec, locked)
    if file is None and (found := _locked(locked.models.values(), word)) is not None:
        return Which(found, None, "deployer.lock")
    if file is None and (entry := _entry(fleet, word)) is not None:
        return Which(catalog.locked_as(entry, locked), None, "the catalogue", settings=entry.engines)
    for path in dict.fromkeys((Path(word), fleet.root / word)):
        if path.is_dir():
            return Which(look_at_folder(path, name=word, file=file), None, "its folder")
        if path.is_file():
            if path.suffix != ".gguf":
                raise UsageError(f"{word} is a file, and no GGUF file", hint="a model is its folder, with config.json")
            return Which(look_at_folder(path.parent, name=str(Path(word).parent), file=path.name), None, "its header")
    if word.count("/") == 1 and not word.startswith((".", "/")) and not word.endswith("/"):
        from deployer.lock.hub import lock_hub_model  # late: huggingface_hub takes a while to load

        repo, _, revision = word.partition("@")
        return Which(lock_hub_model(ModelNeed(repo=repo, revision=revision or "main", file=file)), None, "the hub")
    raise _unknown(fleet, locked, word)


def _entry(fleet: "Fleet", word: str) -> "CatalogEntry | None":
    """Of the catalogue, by its name; a repository is asked of the hub, which knows more."""
    known = catalog.entries(fleet.root) if "/" not in word else {}
    return known[word].entry if word in known else None


def _of_deployment(fleet: "Fleet", spec: DeploymentSpec, locked: Locked) -> Which:
    need = model_need(spec)
    if need.path is not None and need.key not in locked.models:
        found = look_at_folder(fleet.root / need.path, name=need.path, file=need.file)
        return Which(found, spec, f"its folder, settings of {spec.name}", highest_rank(locked, spec))
    if need.host_path is not None:
        hint = "only the hosts have its files: name a folder here, or a repository"
        raise UsageError(f"the model of {spec.name} lies on the hosts already", hint=hint)
    if need.key not in locked.models:
        raise UsageError(f"deployer.lock does not have the model of {spec.name} yet", hint="run `deployer lock`")
    return Which(locked.models[need.key], spec, f"deployer.lock, settings of {spec.name}", highest_rank(locked, spec))


def _locked(models: Iterable[LockedModel], word: str) -> LockedModel | None:
    """By key, or by name where that is of one model only."""
    every = list(models)
    named = [m for m in every if m.key == word] or [m for m in every if m.source == "hub" and m.name == word]
    return named[0] if len(named) == 1 else None


def _unknown(fleet: "Fleet", locked: Locked, word: str) -> UsageError:
    import difflib

    there = [*fleet.spec.deployments, *(model.name for model in locked.models.values()), *catalog.entries(fleet.root)]
    close = difflib.get_close_matches(word, there, 1)
    hint = f"did you mean {close[0]}?" if close else "name a deployment, a folder with config.json, a GGUF file or ORG/NAME"
    return UsageError(f"there is no model {word}: no deployment, no folder and no repository has that name", hint=hint)
