"""What a run that waits for a copy is told of it, through `put`: the files that the giver says, or why they will not come."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Optional

from deployer.agent import files, paths, runs
from deployer.agent.system import System

Word = Dict[str, Any]


def _path(run_id: str, digest: str) -> str:
    if not re.match(r"[0-9a-f]{8,64}\Z", digest):
        raise paths.Refusal("%r is not the digest of a model" % (digest,))
    return "%s/copy-%s.json" % (paths.run(run_id), digest)


def tell(system: System, run_id: str, word: Word) -> bool:
    """False when nobody waits for it (any more). Raises Refusal."""
    path = _path(run_id, str(word["digest"]))
    if not os.path.isdir(system.path(paths.run(run_id))):
        raise paths.Refusal("this host knows no run %s" % run_id)
    if (files.read_json(system, path) or {}).get("over") or not runs.living(system, [run_id]):
        return False
    said = {key: word[key] for key in ("files", "error", "hint", "here") if word.get(key) is not None}
    files.write_json(system, path, said, 0o600)
    return True


def told(system: System, run_id: str, digest: str) -> Optional[Word]:
    found = files.read_json(system, _path(run_id, digest))
    return found if isinstance(found, dict) and found else None


def over(system: System, run_id: str, digest: str) -> None:
    """The step has ended: a word that comes late (a laptop that reads an old line) brings nothing more."""
    files.write_json(system, _path(run_id, digest), {"over": True}, 0o600)
