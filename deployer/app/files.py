"""The bytes that only this machine has: our programs, model folders, wheels. Given to apply, which pushes them."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from deployer.errors import StalePlan
from deployer.state.locked import LockedTool


def serve_tool() -> tuple[LockedTool, bytes]:
    """Our server as one archive, and what the planner must know of it."""
    from deployer import __version__
    from deployer.transport.serve_archive import serve_archive

    content = serve_archive()
    return LockedTool("serve", __version__, hashlib.sha256(content).hexdigest(), len(content), "any"), content


class Files:
    """`places`: folders and file: indexes where pushed wheels are looked for."""

    def __init__(self, root: Path, places: Sequence[str]) -> None:
        self._root = root
        self._places = tuple(places)

    def check(self, blob: Mapping[str, Any]) -> None:
        """Raises StalePlan when the bytes are not what the plan was made with."""
        origin, size = str(blob["origin"]), int(blob["size"])
        if origin == "tool:serve":
            found = hashlib.sha256(self._serve).hexdigest() == blob["sha256"]
        else:
            path = self._path(blob)
            found = path.is_file() and path.stat().st_size == size
        if not found:
            what = f"{origin.partition(':')[2]} is not here as it was when the plan was made"
            raise StalePlan(what, where=origin, hint="deployer lock, then a new plan: deployer plan")

    def open(self, blob: Mapping[str, Any]) -> BinaryIO:
        if blob["origin"] == "tool:serve":
            return BytesIO(self._serve)
        return self._path(blob).open("rb")

    @cached_property
    def _serve(self) -> bytes:
        return serve_tool()[1]

    def _path(self, blob: Mapping[str, Any]) -> Path:
        kind, _, name = str(blob["origin"]).partition(":")
        if kind == "model":
            return self._root / name
        if kind == "wheel":
            from deployer.lock.wheels import find

            return find(name, str(blob["sha256"]), *self._places)
        from deployer.lock.tools import uv_path

        return uv_path()
