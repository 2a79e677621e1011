"""Our server as one file, `serve.pyz`: made here, brought to hosts as a tool, started there as `python -I serve.pyz`."""

import io
import zipfile
from importlib.resources import files
from importlib.resources.abc import Traversable

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip cannot say earlier; no clock, so that the same sources make the same bytes


def serve_archive() -> bytes:
    """A zip with `__main__.py` at its top and the package `deployer.serve`. Same sources, same bytes, on every machine."""
    folder = files("deployer") / "serve"
    sources = {f"deployer/serve/{name}": text for name, text in _python(folder).items()}
    # not our own deployer/__init__.py: that one brings the whole controller
    sources["deployer/__init__.py"] = b""
    sources["__main__.py"] = sources.pop("deployer/serve/__main__.py")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(sources):
            # stored, not deflated: the bytes must not depend on the zlib of this machine
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, sources[name], compress_type=zipfile.ZIP_STORED)
    return out.getvalue()


def _python(folder: Traversable) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file() and entry.name.endswith(".py")}
