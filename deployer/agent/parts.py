"""Files of the gateway that are put together of the deployments' fragments, before HAProxy reads them (render/gateway/models.py).

They follow from the fragments alone: putting those back and this again is their undo.
"""

from __future__ import annotations

import os
from typing import Dict

from deployer.agent import files
from deployer.agent.system import System

#: Kind of fragment → the file made of all of them.
TARGETS: Dict[str, str] = {"names": "all.names", "entries": "all.entries", "listing": "80-models.cfg"}


def assemble(system: System, folder: str) -> None:
    """`folder` is the gateway's, a path of the host. What has no fragments is not there."""
    try:
        there = sorted(os.listdir(system.path(folder + "/parts")))
    except OSError:
        there = []
    for kind, target in TARGETS.items():
        parts = [files.read(system, "%s/parts/%s" % (folder, name)) or b"" for name in there if name.endswith("." + kind)]
        path = "%s/%s" % (folder, target)
        text = b"".join(parts)
        if not parts:
            files.remove(system, path)
        elif files.read(system, path) != text:
            files.write(system, path, text, 0o600)
