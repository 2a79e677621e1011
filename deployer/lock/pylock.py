"""uv's pylock.toml, rewritten as `name==version --hash=…` with only the wheels that fit the target: a twentieth of the size.
Called by environment.py.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from deployer.errors import LockfileError
from deployer.lock.indexes import local_path
from deployer.state.locked import LockedWheel

_SAFE = re.compile(r"[A-Za-z0-9._+!-]+")


@dataclass(frozen=True, slots=True)
class Pinned:
    """The text of a requirements file, how many packages it names, and the wheels that lie on this machine."""

    text: str
    packages: int
    wheels: tuple[LockedWheel, ...]


def pin(pylock: str) -> Pinned:
    """Raises LockfileError for what cannot be pinned by a wheel's hash."""
    lines: list[str] = []
    wheels: list[LockedWheel] = []
    for package in tomllib.loads(pylock).get("packages", []):
        line, local = _package(package)
        lines.append(line)
        wheels += local
    return Pinned("".join(f"{line}\n" for line in sorted(lines)), len(lines), tuple(sorted(wheels, key=lambda w: w.name)))


def _package(package: Mapping[str, Any]) -> tuple[str, list[LockedWheel]]:
    name = str(package.get("name"))
    archive = package.get("archive")
    files: list[Mapping[str, Any]] = [archive] if archive else list(package.get("wheels", []))
    if not files:
        kind = "a version control address" if "vcs" in package else "a folder" if "directory" in package else "no wheel"
        hint = "name a wheel, or a version that has one"
        raise LockfileError(f"{name} comes from {kind}, which cannot be pinned by hash", hint=hint)
    hashes = sorted({_sha256(name, file) for file in files})
    pinned = " ".join(f"--hash=sha256:{value}" for value in hashes)
    wheels = [wheel for file in files if (wheel := _local(name, file)) is not None]
    if archive and not wheels:
        return f"{name} @ {_public(name, str(archive['url']))} {pinned}", []
    version = str(package.get("version") or _file_name(files[0]).split("-")[1])
    if not (_SAFE.fullmatch(name) and _SAFE.fullmatch(version)):
        raise LockfileError(f"uv named a package we cannot write down: {name!r} {version!r}")
    return f"{name}=={version} {pinned}", wheels


def _sha256(name: str, file: Mapping[str, Any]) -> str:
    value = file.get("hashes", {}).get("sha256")
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return value
    raise LockfileError(
        f"the index gives no sha256 for {name}", hint="use an index that does, or put the wheel into a find_links folder"
    )


def _local(name: str, file: Mapping[str, Any]) -> LockedWheel | None:
    path = Path(file["path"]) if "path" in file else local_path(str(file.get("url")))
    if path is None:
        return None
    try:
        return LockedWheel(path.name, path.stat().st_size, _sha256(name, file))
    except OSError as error:
        raise LockfileError(f"cannot read the wheel of {name}: {error.strerror}", where=str(path)) from None


def _file_name(file: Mapping[str, Any]) -> str:
    return Path(file["path"]).name if "path" in file else unquote(urlsplit(str(file["url"])).path).rpartition("/")[2]


def _public(name: str, url: str) -> str:
    if urlsplit(url).username or re.search(r"\s", url):
        hint = "put the wheel into a find_links folder or an index"
        raise LockfileError(f"the address of {name} holds credentials, which cannot be written to the lock", hint=hint)
    return url
