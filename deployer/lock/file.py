"""Reads and writes `deployer.lock` and `locks/*.txt`. Called by the app: reading before every plan, writing after
`resolve.update`. Neither file holds a secret, the address of an index, or the name of a machine.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from deployer.errors import LockfileError
from deployer.lock.document import VERSION, Document, decode, encode
from deployer.lock.target import lock_path
from deployer.state.canonical import text_digest
from deployer.state.locked import Locked

NAME = "deployer.lock"

_HEADER = """\
# Made by `deployer lock`. Review it in git, commit it with locks/, do not edit it.
"""
_AGAIN = "run `deployer lock` to make it again"
_OURS = re.compile(r".+\.3\.\d+-(x86_64|aarch64)-glibc-2\.\d+\.txt")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_lock(root: Path) -> Locked:
    """Raises LockfileError, with file:line where there is one, for a lock that is missing, broken, of a version we do not
    know, or does not match its requirement files.
    """
    try:
        text = (root / NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LockfileError(f"there is no {NAME}", where=NAME, hint="run `deployer lock`, and commit what it writes") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LockfileError(f"cannot read {NAME}: {error}", where=NAME) from None
    _check_conflict(text)
    node, content = _parse(text)
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version != VERSION:
        hint = "upgrade deployer" if version > VERSION else _AGAIN
        raise LockfileError(
            f"{NAME} has version {version}, this deployer reads version {VERSION}", where=_where(node, ("version",)), hint=hint
        )
    try:
        document = Document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        what = f"{NAME} is broken at {path}: {first['msg']}" if path else f"{NAME} is broken: {first['msg']}"
        raise LockfileError(what, where=_where(node, first["loc"]), hint=_AGAIN) from None
    return decode(document, _texts(root, document, node))


def write_lock(root: Path, locked: Locked) -> None:
    """Replaces the files by renaming (0644), requirement files first; requirement files that nothing names any more go.

    The same lock gives the same bytes. Raises LockfileError when the folder cannot be written.
    """
    targets = [t for e in locked.environments.values() for t in e.targets.values()]
    body = yaml.dump(encode(locked), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    try:
        if targets:
            (root / "locks").mkdir(exist_ok=True)
        for target in targets:
            _replace(root / target.file, target.text)
        _replace(root / NAME, _HEADER + body)
        named = {target.file for target in targets}
        for file in (root / "locks").glob("*.txt"):
            if _OURS.fullmatch(file.name) and f"locks/{file.name}" not in named:
                file.unlink()
    except OSError as error:
        raise LockfileError(f"cannot write the lock: {error.strerror}", where=str(error.filename or root)) from None


class _Dumper(yaml.SafeDumper):
    """The pure dumper, so that the bytes do not depend on how PyYAML was built."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _replace(file: Path, text: str) -> None:
    content = text.encode()
    if file.exists() and file.read_bytes() == content:
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o644)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _check_conflict(text: str) -> None:
    if "<<<<<<< " not in text:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("<<<<<<< "):
            hint = f"take either side of {NAME} and locks/, then {_AGAIN}"
            raise LockfileError(f"{NAME} has a merge conflict in it", where=f"{NAME}:{number}", hint=hint)


def _parse(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{NAME}:{mark.line + 1}" if mark else NAME
        what = getattr(error, "problem", None) or str(error)
        raise LockfileError(f"{NAME} is not YAML: {what}", where=where, hint=_AGAIN) from None
    finally:
        loader.dispose()
    return node, content


def _where(node: yaml.Node | None, path: tuple[Any, ...]) -> str:
    """file:line of the deepest part of `path` that is there."""
    if node is None:
        return NAME
    line = node.start_mark.line
    for part in path:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return f"{NAME}:{line + 1}"


def _texts(root: Path, document: Document, node: yaml.Node | None) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, environment in document.environments.items():
        for target, entry in environment.targets.items():
            where = _where(node, ("environments", name, "targets", target, "file"))
            try:
                expected = lock_path(name, target)
            except LockfileError as error:
                raise LockfileError(f"{NAME} is broken: {error.what}", where=where, hint=_AGAIN) from None
            if entry.file != expected:
                raise LockfileError(f"{NAME} is broken: {entry.file!r} should be {expected!r}", where=where, hint=_AGAIN)
            texts[expected] = _requirements(root, expected, entry.digest, where)
    return texts


def _requirements(root: Path, file: str, digest: str, where: str) -> str:
    try:
        text = (root / file).read_text(encoding="utf-8")  # universal newlines: a checkout may have CRLF
    except FileNotFoundError:
        hint = f"bring it back from git, or {_AGAIN}"
        raise LockfileError(f"{file} is missing, and {NAME} names it", where=where, hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LockfileError(f"cannot read {file}: {error}", where=file) from None
    if text_digest(text) != digest:
        hint = f"bring it back from git (`git checkout {file}`), or {_AGAIN}"
        raise LockfileError(f"{file} is not what {NAME} says: its digest differs", where=file, hint=hint)
    return text
