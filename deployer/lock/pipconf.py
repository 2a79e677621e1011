"""What pip is told on this machine, by its configuration files and PIP_* variables. uv reads neither, so indexes.py
translates what is found here. Reads files only; values may hold credentials and are not printed.
"""

import configparser
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_SECTIONS = ("global", "download", "install")  # the later one wins; resolving is closest to `pip install`


@dataclass(frozen=True, slots=True)
class PipSettings:
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None
    proxy: str | None = None
    no_index: bool = False


def pip_settings(environ: Mapping[str, str], files: Iterable[Path] | None = None) -> PipSettings:
    """Later files win over earlier ones, PIP_* over files, as in pip. `files` None: where pip looks."""
    values: dict[str, str] = {}
    for file in config_files(environ) if files is None else files:
        values |= _read(file)
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            values[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return PipSettings(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        cert=values.get("cert"),
        proxy=values.get("proxy"),
        no_index=values.get("no-index", "").lower() in ("1", "true", "yes", "on"),
    )


def config_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """In pip's order: machine, person, virtual environment, PIP_CONFIG_FILE (which alone counts when it is /dev/null)."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return ()
    home = Path(environ.get("HOME") or Path.home())
    shared = [
        Path(folder) / "pip" / "pip.conf"
        for folder in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"))
        if folder
    ]
    if sys.platform == "darwin":
        shared = [Path("/Library/Application Support/pip/pip.conf")]
    personal = [home / ".pip" / "pip.conf", Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"]
    if sys.platform == "darwin":
        personal.append(home / "Library" / "Application Support" / "pip" / "pip.conf")
    own = [Path(sys.prefix) / "pip.conf"]
    return (*shared, Path("/etc/pip.conf"), *personal, *own, *([Path(named)] if named else []))


def _read(file: Path) -> dict[str, str]:
    """A file that is absent or broken says nothing: pip itself will complain about it."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text())
    except (OSError, ValueError, configparser.Error):
        return {}
    found: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            found |= {key.lower().replace("_", "-"): value for key, value in parser.items(section)}
    return found
