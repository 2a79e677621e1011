"""Canaries as the fleet remembers them: one process of a new revision beside the old replicas of its deployment. Pure.

That one stands its host says, in the record of the replica; since when and by whom, the roster. Called by roster, canary,
aftermath and status.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.state.observed import Observed, Reached
from deployer.state.resources import Kind, Resource

#: In the payload of a replica, and the name of the attribute that says it to people.
CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Canary:
    """Slot `slot` of a deployment, on `host`; the others are at revision `base` and get what is not in `share` ("10%")."""

    deployment: str
    slot: int
    host: str
    base: int
    share: str
    who: str
    at: str


def to_json(canaries: Mapping[str, Canary]) -> dict[str, Any]:
    return {name: one_json(canary) for name, canary in sorted(canaries.items())}


def one_json(one: Canary) -> dict[str, Any]:
    return {"slot": one.slot, "host": one.host, "base": one.base, "share": one.share, "who": one.who, "at": one.at}


def from_json(data: Mapping[str, Any]) -> dict[str, Canary]:
    return {n: Canary(n, c["slot"], c["host"], c["base"], c["share"], c["who"], c["at"]) for n, c in data.items()}


def is_canary(replica: Resource) -> bool:
    return replica.kind is Kind.REPLICA and CANARY in replica.payload


def standing(observed: Observed, noted: Mapping[str, Canary]) -> dict[str, Canary]:
    """Those that hosts' records show, and those `noted` on hosts that do not answer. A change that was undone may have left
    a note behind, one that was half done may have taken it too early: neither is believed.
    """
    found = {name: one for name, one in noted.items() if not isinstance(observed.get(one.host), Reached)}
    for host, name, record, payload in _recorded(observed):
        one = noted.get(name)
        if one is not None and (one.host, one.slot) == (host, payload["slot"]):
            found[name] = one
        else:
            base, share = payload[CANARY]["base"], payload[CANARY]["share"]
            who, at = str(record.get("who") or "somebody"), str(record.get("at") or "")
            found[name] = Canary(name, payload["slot"], host, base, share, who, at)
    return found


def _recorded(observed: Observed) -> Iterable[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """By host and deployment. Sorted once they are found: of thousands of records few have one."""
    found = [
        (host, name, record, data["payload"])
        for host, reached in observed.items()
        if isinstance(reached, Reached)
        for name, record in reached.probe.get("records", {}).items()
        for data in record.get("resources", ())
        if data["kind"] == "replica" and CANARY in data["payload"]
    ]
    return sorted(found, key=lambda one: one[:2])
