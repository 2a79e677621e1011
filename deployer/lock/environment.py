"""Engine versions to hash-pinned requirements: one run of `uv pip compile` per target. Called by resolve.py."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from deployer.errors import LockfileError
from deployer.lock.indexes import Indexes
from deployer.lock.pylock import Pinned, pin
from deployer.lock.target import Target, lock_path
from deployer.lock.tools import uv_path
from deployer.state.canonical import text_digest
from deployer.state.locked import LockedTarget
from deployer.state.needs import EnvironmentNeed

_DEADLINE_S = 600
_LINES = 14
_NETWORK = ("failed to fetch", "dns error", "connection refused", "timed out", "error sending request", "network")


def lock_environment(need: EnvironmentNeed, target: str, indexes: Indexes) -> LockedTarget:
    """Asks uv. Raises LockfileError with uv's own explanation when nothing fits."""
    file = lock_path(need.name, target)
    try:
        pinned = _compile(need, Target.parse(target), indexes, local=False)
    except _Unsolved as first:
        if not indexes.local:
            raise _explained(first, need, target) from None
        try:
            pinned = _compile(need, Target.parse(target), indexes, local=True)
        except _Unsolved as second:
            raise _explained(second, need, target) from None
    except LockfileError as error:
        error.where = error.where or f"{need.name} for {target}"
        raise
    return LockedTarget(target, file, text_digest(pinned.text), pinned.packages, pinned.text, pinned.wheels)


class _Unsolved(Exception):
    """uv said no; the text is uv's."""


def _compile(need: EnvironmentNeed, target: Target, indexes: Indexes, *, local: bool) -> Pinned:
    with tempfile.TemporaryDirectory(prefix="deployer-lock-") as folder:
        work = Path(folder)
        _write_lines(work / "requirements.in", need.requirements, need.name)
        argv = [*_command(target), str(work / "requirements.in"), "-o", str(work / "pylock.toml")]
        if need.exclude:
            _write_lines(work / "excludes", need.exclude, need.name)
            argv += ["--excludes", str(work / "excludes")]
        if indexes.no_index:
            argv.append("--no-index")
        environ = indexes.environment(os.environ, first=need.index_url, local=local)
        try:
            done = subprocess.run(
                argv, cwd=work, env=environ, capture_output=True, text=True, errors="replace", timeout=_DEADLINE_S
            )
        except subprocess.TimeoutExpired:
            raise LockfileError(
                f"uv found no answer in {_DEADLINE_S} s", hint="check the network and packages.index_url"
            ) from None
        if done.returncode != 0:
            raise _Unsolved(done.stderr)
        return _as_hashed(pin((work / "pylock.toml").read_text()), need)


def _as_hashed(pinned: Pinned, need: EnvironmentNeed) -> Pinned:
    """Only the files that the user's own requirements name by hash."""
    given = {canonicalize_name(name): set(hashes) for name, hashes in need.hashes}
    lines = []
    for line in pinned.text.splitlines():
        package, *hashes = line.split(" --hash=sha256:")
        known = given.get(canonicalize_name(re.split(r"[ =@]", package, maxsplit=1)[0]))
        kept = hashes if known is None else [one for one in hashes if one in known]
        if not kept:
            hint = "make the hashes again: uv pip compile --generate-hashes requirements.in -o requirements.txt"
            raise LockfileError(f"{package}: no file of the index has a hash that handler.requirements names", hint=hint)
        lines.append("".join([package, *(f" --hash=sha256:{one}" for one in kept)]))
    return replace(pinned, text="".join(f"{line}\n" for line in lines))


def _command(target: Target) -> list[str]:
    argv = [str(uv_path()), "pip", "compile", "--quiet", "--color", "never", "--no-python-downloads", "--python", sys.executable]
    argv += ["--format", "pylock.toml", "--generate-hashes", "--only-binary", ":all:", "--no-header", "--no-annotate"]
    argv += ["--python-version", target.python, "--python-platform", target.platform]
    # a person's own uv.toml could make the lock differ from a colleague's; one that is named on purpose counts
    return argv if os.environ.get("UV_CONFIG_FILE") else [*argv, "--no-config"]


def _write_lines(file: Path, lines: tuple[str, ...], where: str) -> None:
    """Refuses what a requirements file would read as an option or as several lines."""
    for line in lines:
        if not line.isprintable() or line.strip().startswith(("-", "#")) or not line.strip():
            raise LockfileError(
                f"{line!r} is not a requirement", where=where, hint="write it as NAME, NAME==VERSION or NAME @ URL"
            )
    file.write_text("".join(f"{line.strip()}\n" for line in lines))


def _explained(error: _Unsolved, need: EnvironmentNeed, target: str) -> LockfileError:
    text = re.sub(r"//[^/@\s]*@", "//***@", str(error))
    # uv wraps its explanation and draws a tree; a person wants the sentences
    lines = [
        line
        for raw in text.splitlines()
        if (line := re.sub(r"^[\s│├╰─▶×]+", "", raw).strip()) and not line.startswith("warning:")
    ]
    said = "\n".join(f"  {line}" for line in lines[:_LINES]) + ("\n  …" if len(lines) > _LINES else "")
    wanted = ", ".join(need.requirements)
    if any(word in text.lower() for word in _NETWORK):
        what, hint = "uv could not reach a package index", "check the network and packages.index_url in deployer.yaml"
    else:
        what = f"no set of packages fits {wanted}"
        hint = "change the engine's version, or its requirements and exclude; packages.find_links names folders with more wheels"
    return LockfileError(f"{what}; uv says:\n{said}", where=f"{need.name} for {target}", hint=hint)
