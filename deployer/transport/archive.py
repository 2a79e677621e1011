"""The agent as one archive: made here, brought to hosts by the transports, started there by their bootstrap. The server is packed
by the same functions.

`__main__.py` at its top, the package `deployer.agent` beside it, and pynvml, which is one file of pure Python.
"""

import functools
import hashlib
import io
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip cannot say earlier; no clock, so that the same sources make the same bytes


@functools.cache
def agent_archive() -> bytes:
    """Same sources, same bytes, on every machine."""
    return packed({**package("agent"), "pynvml.py": _pynvml()})


def package(name: str) -> dict[str, bytes]:
    """Path in the archive → content: the package `deployer.NAME`, with its `__main__.py` at the top."""
    sources = {f"deployer/{name}/{path}": text for path, text in _python(files("deployer") / name)}
    sources["deployer/__init__.py"] = b""  # not our own: that one brings the whole controller
    sources["__main__.py"] = sources.pop(f"deployer/{name}/__main__.py")
    return sources


def packed(sources: Mapping[str, bytes]) -> bytes:
    """As a zip: the same sources give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(sources):
            # stored, not deflated: the bytes must not depend on the zlib of this machine
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, sources[name], compress_type=zipfile.ZIP_STORED)
    return out.getvalue()


@functools.cache
def agent_digest() -> str:
    """SHA-256 of the archive in hex: the name of the agent's directory on a host."""
    return hashlib.sha256(agent_archive()).hexdigest()


def _python(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            found += _python(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _pynvml() -> bytes:
    """Found, not imported: the controller has no use for it."""
    spec = find_spec("pynvml")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("nvidia-ml-py is not installed: pip install nvidia-ml-py")
    return Path(spec.origin).read_bytes()
