"""A model that is a folder of the fleet (`model.path`): its files, digests and facts. Called by resolve.py, and by the
app before planning, since the folder's content now must be what the lock says.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from deployer.errors import LockfileError
from deployer.lock.adapterfacts import ADAPTER, adapter_facts
from deployer.lock.digests import DigestCache
from deployer.lock.facts import facts_from_config, has_template, parse_config, weights_bytes
from deployer.lock.gguf import gguf_facts
from deployer.lock.selection import one_file, whole
from deployer.lock.tensors import faults, in_folder
from deployer.state.locked import LockedFile, LockedModel, ModelFacts, content_digest
from deployer.state.needs import ModelNeed

_POINTER = b"version https://git-lfs"


def digest_folders(root: Path, needs: Iterable[ModelNeed]) -> dict[str, LockedModel]:
    """Every `path` model of `needs`, by key, with the fleet's digest cache. Raises LockfileError for the first bad one."""
    cache = DigestCache(root)
    try:
        return {
            need.key: digest_folder(root / need.path, name=need.path, cache=cache, plain=need.plain, file=need.file)
            for need in needs
            if need.path
        }
    finally:
        cache.save()


def digest_folder(
    path: Path, *, name: str | None = None, cache: DigestCache | None = None, plain: bool = False, file: str | None = None
) -> LockedModel:
    """The folder as a locked model; `name` is its path as the YAML says it. Hidden files are left out; `file`: everything
    but this GGUF file and its other parts.

    Raises LockfileError for a folder that is missing, empty, unreadable or without config.json (an adapter has an
    adapter_config.json instead; `plain`: nothing is wanted), and for links that leave it.
    """
    name = name or path.as_posix()
    cache = cache or DigestCache()

    def locked(relative: str) -> LockedFile:
        return _locked(path, relative, name, f"sha256:{cache.sha256(path / relative)}")

    return _read(path, name, plain, file, locked)


def look_at_folder(path: Path, *, name: str | None = None, file: str | None = None) -> LockedModel:
    """As digest_folder, but no file is read as a whole: digests are empty. For questions that need only facts and sizes, so
    weights that are not whole are a LockfileError too.
    """
    name = name or path.as_posix()
    found = _read(path, name, False, file, lambda relative: _locked(path, relative, name, ""))
    broken = faults(path, found.files)
    if broken:
        (first, why), more = broken[0], len(broken) - 1
        hint = "the files are not whole: download them again" + (f"; {more} more of them have a fault" if more else "")
        raise LockfileError(why, where=f"{name}/{first}", hint=hint)
    return found


def _read(path: Path, name: str, plain: bool, file: str | None, locked: Callable[[str], LockedFile]) -> LockedModel:
    _check_folder(path, name)
    try:
        every = sorted(_walk(path, "", name))
        chosen = sorted(one_file(every, file)) if file else every
        files = tuple(locked(relative) for relative in chosen)
    except OSError as error:
        raise LockfileError(f"cannot read {error.filename or path}: {error.strerror}", where=name) from None
    if file and not files:
        raise LockfileError(f"the model folder has no {file}", where=name, hint=_there(every))
    if not files:
        raise LockfileError("the model folder is empty", where=name, hint="put config.json, the tokenizer and the weights there")
    return LockedModel(_key(name, file), "path", name, None, None, content_digest(files), files, _facts(path, name, plain, files))


def _facts(path: Path, name: str, plain: bool, files: tuple[LockedFile, ...]) -> ModelFacts:
    paths = {f.path for f in files}
    adapter = None
    if ADAPTER in paths:
        adapter = adapter_facts(parse_config((path / ADAPTER).read_bytes(), f"{name}/{ADAPTER}"))
    gguf = sorted(one for one in paths if one.endswith(".gguf"))
    if gguf and "config.json" not in paths and not plain:
        facts = gguf_facts(path / gguf[0], f"{name}/{gguf[0]}") if whole(gguf) else ModelFacts()
        return replace(facts, weights_bytes=weights_bytes(files))
    if "config.json" not in paths and adapter is None and not plain:
        hint = "model.path must name the folder that holds config.json itself, not one above or below it"
        raise LockfileError("the model folder has no config.json", where=name, hint=hint)
    config = parse_config((path / "config.json").read_bytes(), f"{name}/config.json") if "config.json" in paths else {}
    template = "chat_template.jinja" in paths
    if not template and "tokenizer_config.json" in paths:
        template = has_template((path / "tokenizer_config.json").read_bytes())
    tensors = in_folder(path, files)
    return facts_from_config(config, chat_template=template, weights_bytes=weights_bytes(files), tensors=tensors, adapter=adapter)


def _key(name: str, file: str | None) -> str:
    return ModelNeed(path=name, file=file).key


def _there(paths: list[str]) -> str:
    found = [path for path in paths if path.endswith(".gguf")]
    return f"it has {', '.join(found[:10])}" if found else "it holds no GGUF file at all"


def _check_folder(path: Path, name: str) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        what = "the model folder does not exist" if missing else f"cannot read the model folder: {error}"
        raise LockfileError(what, where=name, hint="model.path is relative to the folder of deployer.yaml") from None
    if not stat.S_ISDIR(mode):
        raise LockfileError("model.path names a file, a folder is wanted", where=name)


def _walk(top: Path, inside: str, name: str) -> Iterator[str]:
    """Paths of the files, relative to `top`, with slashes."""
    with os.scandir(top / inside) as entries:
        for entry in entries:
            relative = f"{inside}{entry.name}"
            if entry.name.startswith("."):
                continue
            _check_name(relative, name)
            if entry.is_symlink():
                _check_link(top, Path(entry.path), relative, name)
            if entry.is_dir():
                yield from _walk(top, f"{relative}/", name)
            elif entry.is_file():
                yield relative
            else:
                raise LockfileError("only plain files can be part of a model", where=f"{name}/{relative}")


def _check_name(relative: str, name: str) -> None:
    if not relative.isprintable() or "\\" in relative:
        raise LockfileError(f"the file name {relative!r} cannot be sent to a host", where=name, hint="rename the file")


def _check_link(top: Path, link: Path, relative: str, name: str) -> None:
    target, inside = Path(os.path.realpath(link)), Path(os.path.realpath(top))  # Path.resolve raises on loops
    if inside not in target.parents:
        hint = "put the file itself there: cp -rL OLD NEW copies a folder with its links followed"
        raise LockfileError(f"the link leads out of the model folder, to {target}", where=f"{name}/{relative}", hint=hint)
    if not os.path.isfile(link):
        raise LockfileError("links to folders or to nothing cannot be part of a model", where=f"{name}/{relative}")


def _locked(top: Path, relative: str, name: str, digest: str) -> LockedFile:
    file = top / relative
    size = file.stat().st_size
    if size < 1024:
        with file.open("rb") as stream:
            if stream.read(len(_POINTER)) == _POINTER:
                hint = "run `git lfs pull` in the checkout"
                raise LockfileError("this is a Git LFS pointer, not the file itself", where=f"{name}/{relative}", hint=hint)
    return LockedFile(relative, size, digest)
