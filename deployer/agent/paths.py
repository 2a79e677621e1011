"""Where a fleet's things lie on a host, and which paths a fleet may touch at all. Used by every part of the agent."""

from __future__ import annotations

import os
import re
from typing import Tuple

from deployer.agent import wire

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
DEPLOYMENT = re.compile(r"_?[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")  # "_host": what belongs to no deployment
UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\.(service|target|slice|socket|timer)\Z")

#: What stands beside the fleets' directories in ROOT_STATE.
NOT_FLEETS = frozenset({"models", "blobs", "agent", "runs"})


class Refusal(Exception):
    """The request asks for something the agent never does. The message says what."""


def check_fleet(fleet: wire.Fleet) -> wire.Fleet:
    if not NAME.match(str(fleet.get("name", ""))) or fleet["name"] in NOT_FLEETS:
        raise Refusal("%r is not the name of a fleet" % (fleet.get("name"),))
    if not re.match(r"[A-Za-z0-9-]{4,64}\Z", str(fleet.get("id", ""))):
        raise Refusal("%r is not the id of a fleet" % (fleet.get("id"),))
    return fleet


def state(fleet: wire.Fleet) -> str:
    return "%s/%s" % (wire.ROOT_STATE, fleet["name"])


def etc(fleet: wire.Fleet) -> str:
    return "%s/%s" % (wire.ROOT_ETC, fleet["name"])


def deployment(fleet: wire.Fleet, name: str) -> str:
    if not DEPLOYMENT.match(name):
        raise Refusal("%r is not the name of a deployment" % (name,))
    return "%s/%s" % (state(fleet), name)


def secret_key(fleet: wire.Fleet) -> str:
    return state(fleet) + "/secret.key"


def probe_key(fleet: wire.Fleet) -> str:
    return state(fleet) + "/probe.key"


def peer(fleet: wire.Fleet) -> str:
    """This host's certificate and key for other gateways, as render.names knows it."""
    return state(fleet) + "/peer.pem"


def peers(fleet: wire.Fleet) -> str:
    """The certificates of the hosts that it trusts."""
    return "%s/_gateway/peers.pem" % etc(fleet)


def unit_prefix(fleet: wire.Fleet) -> str:
    return "%s%s-" % (wire.UNIT, fleet["name"])


def run(run_id: str) -> str:
    if not RUN.match(run_id):
        raise Refusal("%r is not the id of a run" % (run_id,))
    return "%s/%s" % (wire.ROOT_RUNS, run_id)


def run_unit(run_id: str) -> str:
    return "%s%s.service" % (wire.RUN_UNIT, run_id)


def engines(paths: object) -> str:
    return _override(paths, "engines") or wire.ROOT_ENGINES


def models(paths: object) -> str:
    return _override(paths, "models") or wire.ROOT_MODELS


def _override(paths: object, key: str) -> str:
    found = paths.get(key) if isinstance(paths, dict) else None
    return str(found).rstrip("/") if found else ""


def below(path: str, parent: str) -> bool:
    return path.startswith(parent.rstrip("/") + "/")


def plain(path: str) -> str:
    """The path when it is absolute and says what it means; Refusal for "..", doubled slashes and control characters."""
    if not path.startswith("/") or os.path.normpath(path) != path or re.search(r"[\x00-\x1f]", path):
        raise Refusal("%r is not a plain absolute path" % (path,))
    return path


def own_trees(fleet: wire.Fleet) -> Tuple[str, ...]:
    """Directories that are this fleet's alone."""
    roots = (wire.ROOT_CACHE, wire.ROOT_LOGS, wire.ROOT_RUN)
    return (etc(fleet), state(fleet), *("%s/%s" % (root, fleet["name"]) for root in roots))


def own_file(fleet: wire.Fleet, path: str) -> str:
    """The path, when this fleet may write or remove it; Refusal otherwise: nothing foreign is touched."""
    plain(path)
    if any(below(path, tree) for tree in own_trees(fleet)):
        return path
    if path.startswith(wire.UNITS + "/" + unit_prefix(fleet)):
        return path
    raise Refusal("%s is not a place of the fleet %s" % (path, fleet["name"]))


def own_unit(fleet: wire.Fleet, unit: str) -> str:
    """The unit's name, when it is one of this fleet's."""
    if not UNIT.match(unit) or not unit.startswith(unit_prefix(fleet)):
        raise Refusal("%r is not a unit of the fleet %s" % (unit, fleet["name"]))
    return unit
