"""The bytes that only this machine has: our programs, model folders, wheels. Given to apply, which pushes them."""

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from deployer.errors import StalePlan
from deployer.state.locked import LockedTool

#: Programs of ours that run on hosts, each a package of this distribution and one archive there.
OWN_TOOLS = ("serve", "handler")


def own_tool(name: str) -> tuple[LockedTool, bytes]:
    """One of them as an archive, and what the planner must know of it."""
    from deployer import __version__
    from deployer.transport.serve_archive import package_archive

    content = package_archive(name)
    return LockedTool(name, __version__, hashlib.sha256(content).hexdigest(), len(content), "any"), content


class Files:
    """`places`: folders and file: indexes where pushed wheels are looked for."""

    def __init__(self, root: Path, places: Sequence[str]) -> None:
        self._root = root
        self._places = tuple(places)
        self._archives: dict[str, bytes] = {}

    def check(self, blob: Mapping[str, Any]) -> None:
        """Raises StalePlan when the bytes are not what the plan was made with."""
        origin, size = str(blob["origin"]), int(blob["size"])
        if _own(origin):
            found = hashlib.sha256(self._archive(origin)).hexdigest() == blob["sha256"]
        else:
            path = self._path(blob)
            found = path.is_file() and path.stat().st_size == size
        if not found:
            what = f"{origin.partition(':')[2]} is not here as it was when the plan was made"
            raise StalePlan(what, where=origin, hint="deployer lock, then a new plan: deployer plan")

    def open(self, blob: Mapping[str, Any]) -> BinaryIO:
        if _own(str(blob["origin"])):
            return BytesIO(self._archive(str(blob["origin"])))
        return self._path(blob).open("rb")

    def _archive(self, origin: str) -> bytes:
        if origin not in self._archives:
            self._archives[origin] = own_tool(origin.partition(":")[2])[1]
        return self._archives[origin]

    def _path(self, blob: Mapping[str, Any]) -> Path:
        kind, _, name = str(blob["origin"]).partition(":")
        if kind in ("model", "scripts"):
            return self._root / name
        if kind == "wheel":
            from deployer.lock.wheels import find

            return find(name, str(blob["sha256"]), *self._places)
        from deployer.lock.tools import uv_path

        return uv_path()


def _own(origin: str) -> bool:
    return origin.startswith("tool:") and origin.partition(":")[2] in OWN_TOOLS
