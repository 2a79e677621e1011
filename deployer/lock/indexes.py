"""Where packages come from: `packages` of deployer.yaml, then UV_*, then PIP_* and pip's files. Called by environment.py
to run uv, and by the app to find the folders from which wheels are pushed.

Addresses may hold credentials, so they go to uv in its environment, never in its arguments.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployer.lock.pipconf import PipSettings, pip_settings
from deployer.spec.models import Packages


@dataclass(frozen=True, slots=True)
class Indexes:
    """`default` None: uv's own. `local` are file: indexes that only pip's files name, caches of this machine: they are
    asked when the others do not suffice, since wheels from there must be pushed to hosts.
    """

    default: str | None
    extra: tuple[str, ...]
    find_links: tuple[str, ...]
    local: tuple[str, ...]
    settings: Mapping[str, str]  # more of uv's variables
    no_index: bool = False  # only find_links

    def environment(self, base: Mapping[str, str], *, first: str | None = None, local: bool = False) -> dict[str, str]:
        """The environment to run uv in. `first` is an index asked before all others; `local`: with the local ones."""
        own = {name: value for name, value in base.items() if name not in _REPLACED}
        extra = (*((first,) if first else ()), *self.extra, *(self.local if local else ()))
        own |= {"UV_DEFAULT_INDEX": self.default} if self.default else {}
        own |= {"UV_INDEX": " ".join(extra)} if extra else {}
        own |= {"UV_FIND_LINKS": ",".join(self.find_links)} if self.find_links else {}
        own.update(self.settings)
        return own

    def places(self) -> tuple[str, ...]:
        """Folders and file: indexes of this machine, where a wheel that must be pushed can lie."""
        everywhere = (*self.find_links, *self.extra, *self.local, *((self.default,) if self.default else ()))
        return tuple(dict.fromkeys(place for place in everywhere if local_path(place) is not None))


_REPLACED = frozenset({"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"})


def indexes(root: Path, packages: Packages, environ: Mapping[str, str] | None = None, pip: PipSettings | None = None) -> Indexes:
    """`root` is the fleet, which relative folders in `packages` start from."""
    environ = os.environ if environ is None else environ
    pip = pip_settings(environ) if pip is None else pip
    remote = tuple(url for url in pip.extra_index_urls if local_path(url) is None)
    local = tuple(url for url in pip.extra_index_urls if local_path(url) is not None)
    own = [_rooted(root, place) for place in packages.find_links]
    links = (*own, *environ.get("UV_FIND_LINKS", "").replace(",", " ").split(), *pip.find_links)
    extra = (
        *packages.extra_index_urls,
        *environ.get("UV_INDEX", "").split(),
        *environ.get("UV_EXTRA_INDEX_URL", "").split(),
        *remote,
    )
    default = packages.index_url or environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or pip.index_url
    return Indexes(
        default=default,
        extra=tuple(dict.fromkeys(extra)),
        find_links=tuple(dict.fromkeys(links)),
        local=local,
        settings=_settings(environ, pip, merged=bool(pip.extra_index_urls)),
        no_index=pip.no_index and not packages.index_url,
    )


def local_path(place: str) -> Path | None:
    """The path behind a folder or a file: URL; None for anything that lies elsewhere."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme in ("http", "https", "s3", "git+https", "git+ssh") else Path(place).expanduser()


def _rooted(root: Path, place: str) -> str:
    path = local_path(place)
    return place if path is None else str(root / path)


def _settings(environ: Mapping[str, str], pip: PipSettings, *, merged: bool) -> dict[str, str]:
    """pip's other settings in uv's words; what UV_* says already stays."""
    wanted = {
        "SSL_CERT_FILE": pip.cert,
        "UV_INSECURE_HOST": " ".join(pip.trusted_hosts) or None,
        "ALL_PROXY": pip.proxy,
        # pip takes the best version of all indexes, and who configured pip's extra ones counts on that
        "UV_INDEX_STRATEGY": "unsafe-best-match" if merged else None,
    }
    return {name: value for name, value in wanted.items() if value and name not in environ}
