"""What fleets wrote down on this host: records, revisions, failures, the roster, and what other fleets claim."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Set, Tuple

from deployer.agent import files, paths, starts, wire
from deployer.agent.system import System

#: Fields of a revision that history shows; the resources travel only for deployments whose whole history is asked for.
SHORT = ("deployment", "revision", "at", "who", "why", "git_commit", "protected", "canary")
#: Kinds of resources that are directories shared by many.
ARTIFACTS = frozenset({"tool", "environment", "model", "scripts"})


class FleetState:
    """One fleet's directory below ROOT_STATE."""

    def __init__(self, system: System, fleet: wire.Fleet, whole: List[str]) -> None:
        self.records: Dict[str, Any] = {}
        self.history: Dict[str, List[Any]] = {}
        self.failures: Dict[str, Any] = {}
        self.starts: Dict[str, List[Any]] = {}
        self.unreadable: List[str] = []
        self._system = system
        base = paths.state(fleet)
        self.roster = self._json(base + "/roster.json")
        for name in listing(system, base):
            if not paths.DEPLOYMENT.match(name) or not os.path.isdir(system.path("%s/%s" % (base, name))):
                continue
            folder = "%s/%s" % (base, name)
            record = self._json(folder + "/current.json")
            if record is not None:
                self.records[name] = record
            failure = self._json(folder + "/failure.json")
            if failure is not None:
                self.failures[name] = failure
            took = self._starts(folder)
            if took:
                self.starts[name] = took
            revisions = self._revisions(folder, name in whole)
            if revisions:
                self.history[name] = revisions

    def _json(self, path: str) -> Any:
        try:
            return files.read_json(self._system, path)
        except OSError:
            self.unreadable.append(path)
            return None

    def _starts(self, folder: str) -> List[Any]:
        try:
            return starts.read(self._system, folder)[-starts.TOLD :]
        except OSError:
            return []  # an expectation less; nothing of what is wanted rests on it

    def _revisions(self, folder: str, whole: bool) -> List[Any]:
        numbers = [int(n[:-5]) for n in listing(self._system, folder + "/revisions") if n.endswith(".json") and n[:-5].isdigit()]
        found = [self._json("%s/revisions/%d.json" % (folder, number)) for number in sorted(numbers)]
        revisions = [one for one in found if isinstance(one, dict)]
        return revisions if whole else [_short(one) for one in revisions]


def _short(revision: Dict[str, Any]) -> Dict[str, Any]:
    """`paths`: the artifacts that it stood on."""
    found = {key: revision.get(key) for key in SHORT}
    resources = revision.get("resources") or []
    payloads = [r.get("payload") or {} for r in resources if isinstance(r, dict) and r.get("kind") in ARTIFACTS]
    found["paths"] = sorted({str(p["path"]) for p in payloads if p.get("path")})
    return found


def listing(system: System, path: str) -> List[str]:
    try:
        return sorted(os.listdir(system.path(path)))
    except OSError:
        return []


def name_conflict(system: System, fleet: wire.Fleet) -> Any:
    """The id of another fleet that has our name here, or None."""
    header = files.read_json(system, "%s/%s" % (paths.state(fleet), wire.FLEET_FILE))
    found = header.get("id") if isinstance(header, dict) else None
    return found if found and found != fleet["id"] else None


def fleets(system: System) -> Iterator[Tuple[str, str]]:
    """(id, name) of every fleet that left its header here."""
    for name in listing(system, wire.ROOT_STATE):
        if name in paths.NOT_FLEETS or not paths.NAME.match(name):
            continue
        try:
            header = files.read_json(system, "%s/%s/%s" % (wire.ROOT_STATE, name, wire.FLEET_FILE))
        except OSError:
            continue
        if isinstance(header, dict) and header.get("id"):
            yield str(header["id"]), name


def resources(system: System, fleet_name: str, revisions: bool = False) -> Iterator[Dict[str, Any]]:
    """Every resource that a fleet's records speak of; `revisions`: of what stands, the earlier ones too."""
    base = "%s/%s" % (wire.ROOT_STATE, fleet_name)
    for name in listing(system, base):
        if not paths.DEPLOYMENT.match(name):
            continue
        folder = "%s/%s" % (base, name)
        noted = [folder + "/current.json"]
        if revisions and os.path.exists(system.path(noted[0])):  # without one there is nothing to go back from
            noted += ["%s/revisions/%s" % (folder, one) for one in listing(system, folder + "/revisions")]
        for path in noted:
            try:
                record = files.read_json(system, path)
            except OSError:
                continue
            for resource in (record or {}).get("resources", []) if isinstance(record, dict) else []:
                if isinstance(resource, dict):
                    yield resource


def other_fleets(system: System, fleet: wire.Fleet) -> List[Dict[str, Any]]:
    """[{"id", "name", "ports", "gpus"}]: what others claim here; with "shares" {uuid: percent} for those of which they have a
    part.
    """
    found = []
    for fleet_id, name in fleets(system):
        if fleet_id == fleet["id"]:
            continue
        ports: Set[int] = set()
        gpus: Set[str] = set()
        alone: Set[str] = set()
        shares: Dict[str, int] = {}
        for resource in resources(system, name):
            payload = resource.get("payload") or {}
            ports.update(payload[key] for key in ("port", "peer_port", "metrics_port") if isinstance(payload.get(key), int))
            mine, share = [g for g in payload.get("gpus") or () if isinstance(g, str)], payload.get("share")
            gpus.update(mine)
            if isinstance(share, int):
                shares.update({gpu: shares.get(gpu, 0) + share for gpu in mine})
            else:
                alone.update(mine)
        parts = {gpu: share for gpu, share in sorted(shares.items()) if gpu not in alone}
        one = {"id": fleet_id, "name": name, "ports": sorted(ports), "gpus": sorted(gpus)}
        found.append(dict(one, shares=parts) if parts else one)
    return found


def etc_digests(system: System, fleet: wire.Fleet) -> Tuple[Dict[str, str], List[str]]:
    """Digests of this fleet's files below /etc/deployer, and those that could not be read."""
    base = paths.etc(fleet)
    digests: Dict[str, str] = {}
    unreadable: List[str] = []
    if os.path.isdir(system.path(base)) and not os.access(system.path(base), os.R_OK | os.X_OK):
        return digests, [base]
    for name in files.walk(system, base):
        path = "%s/%s" % (base, name)
        try:
            digests[path] = files.digest(system, path)
        except OSError:
            unreadable.append(path)
    return digests, unreadable
