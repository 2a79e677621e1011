"""`give`: a complete model's files, as its marker lists them, for other hosts. Reads only what carries our marker."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict

from deployer.agent import paths
from deployer.agent.facts import artifacts as facts
from deployer.agent.system import System
from deployer.agent.talk import Hungup, Talk

CHUNK = 1 << 18
LOOK = "deployer hosts probe --verify reads it again"


def give(system: System, request: Dict[str, Any], talk: Talk) -> None:
    """The list of files, or of one of them the bytes from an offset on. Raises Refusal."""
    path = paths.plain(str(request["path"]))
    listed = _listed(system, path, str(request["digest"]))
    if "file" not in request:
        talk.say({"type": "gives", "files": [{"path": name, **facts} for name, facts in sorted(listed.items())]})
        return
    name, offset = str(request["file"]), int(request.get("offset") or 0)
    if name not in listed:
        raise paths.Refusal("%s is not a file of %s" % (name, path))
    descriptor = os.open(system.path("%s/%s" % (path, name)), os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        size = int(listed[name]["size"])
        if os.fstat(descriptor).st_size < size:
            raise paths.Refusal("%s of %s is shorter than it was when it was made: %s" % (name, path, LOOK))
        left = max(0, size - offset)
        file.seek(offset)
        talk.say({"type": "giving", "size": left})
        while left:
            data = file.read(min(CHUNK, left))
            if not data:
                # What was announced are bytes: words would be taken for some of them. This the controller says when we end.
                sys.stderr.write("%s became shorter while it was read: %s\n" % (name, LOOK))
                raise Hungup
            talk.send(data)
            left -= len(data)


def _listed(system: System, path: str, digest: str) -> Dict[str, Dict[str, Any]]:
    found = facts.marker(system, path)
    if found is None:
        raise paths.Refusal("there is no complete model at %s" % path)
    if found.get("kind") != "model" or found.get("digest") != digest:
        raise paths.Refusal("what is at %s is not the model that is wanted" % path)
    listed = found.get("files")
    if not isinstance(listed, dict) or not listed:
        raise paths.Refusal("nobody noted the files of %s when it was made" % path)
    return listed
