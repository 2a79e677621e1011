"""Content-addressed directories: complete only when their marker is there. Nothing without a mark of ours is listed."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional, Set

from deployer.agent import files, paths, wire
from deployer.agent.facts import state
from deployer.agent.system import System

#: In a directory that is being made. A crash leaves it there, and the directory is then known to be ours and useless.
UNDER_WAY = ".deployer.incomplete"
#: What a model is made in before it is renamed to its final place.
PART = ".part"


def artifacts(system: System, path_overrides: Any, verify: bool) -> List[Dict[str, Any]]:
    used = users(system)
    found = []
    for path in _candidates(system, path_overrides):
        one = _artifact(system, path, verify)
        if one is not None:
            one["fleets"] = sorted(used.get(path, ()))
            found.append(one)
    return found


def _candidates(system: System, overrides: Any) -> Iterator[str]:
    for root in sorted({wire.ROOT_ENGINES, paths.engines(overrides)}):
        for name in state.listing(system, root):
            yield "%s/%s" % (root, name)
    for root in sorted({wire.ROOT_MODELS, paths.models(overrides)}):
        for name in state.listing(system, root):
            for version in state.listing(system, "%s/%s" % (root, name)):
                yield "%s/%s/%s" % (root, name, version)


def marker(system: System, path: str) -> Optional[Dict[str, Any]]:
    """What a complete artifact says of itself; None when it is not complete."""
    try:
        found = files.read_json(system, "%s/%s" % (path, wire.MARKER))
    except OSError:
        return None
    return found if isinstance(found, dict) else None


def _artifact(system: System, path: str, verify: bool) -> Optional[Dict[str, Any]]:
    found = marker(system, path)
    complete = found is not None
    if found is None:
        found = files.read_json(system, "%s/%s" % (path, UNDER_WAY))
        if not isinstance(found, dict):
            return None
    return {
        "path": path,
        "kind": found.get("kind", "model"),
        "name": found.get("name", ""),
        "digest": found.get("digest", ""),
        "bytes": found.get("bytes") or 0,
        "complete": complete,
        "verified": is_whole(system, path, found) if verify and complete else None,
    }


def is_whole(system: System, path: str, found: Dict[str, Any]) -> Optional[bool]:
    """Reads every file that the marker lists again; None when it lists none (an environment)."""
    listed = found.get("files")
    if not isinstance(listed, dict):
        return None
    for name, facts in listed.items():
        file = "%s/%s" % (path, name)
        try:
            if os.path.getsize(system.path(file)) != facts["size"] or not system.intact(file, facts["digest"]):
                return False
        except OSError:
            return False
    return True


def users(system: System, revisions: bool = False) -> Dict[str, Set[str]]:
    """Artifact path → ids of the fleets whose records use it; `revisions`: also what they could go back to."""
    found: Dict[str, Set[str]] = {}
    for fleet_id, name in state.fleets(system):
        for resource in state.resources(system, name, revisions):
            path = (resource.get("payload") or {}).get("path")
            if resource.get("kind") in state.ARTIFACTS and isinstance(path, str):
                found.setdefault(path, set()).add(fleet_id)
    return found


def host_paths(system: System, wanted: List[str]) -> Dict[str, Optional[Dict[str, Any]]]:
    """Model directories that are said to be there already: their files and sizes, or None."""
    found: Dict[str, Optional[Dict[str, Any]]] = {}
    for path in wanted:
        if not os.path.isdir(system.path(path)):
            found[path] = None
            continue
        sizes = {}
        for name in files.walk(system, path):
            try:
                sizes[name] = os.stat(system.path("%s/%s" % (path, name))).st_size
            except OSError:
                continue
        found[path] = {"files": sizes}
    return found
