"""Leaves the roster on hosts. Called at the end of an apply."""

from collections.abc import Iterable, Mapping
from typing import Any

from deployer.errors import DeployerError, StalePlan, Unreachable
from deployer.execute.fanout import fan_out
from deployer.execute.pool import Pool

DEADLINE_S = 20.0


def leave_roster(
    pool: Pool, hosts: Iterable[str], fleet: Mapping[str, str], roster: Mapping[str, Any]
) -> dict[str, DeployerError | None]:
    """Per host None, or why it could not be written. A host that has a newer one keeps it: StalePlan when that one has other
    holds, since then a hold that somebody asked for is not noted anywhere.
    """

    def one(name: str) -> DeployerError | None:
        try:
            channel = pool.connection(name).open("roster", {"fleet": dict(fleet), "roster": dict(roster)})
            try:
                said = [line for line in channel.lines() if line.get("type") == "roster"]
            finally:
                channel.close()
        except DeployerError as error:
            return error
        if not said:
            return Unreachable("the connection ended before the roster was written", where=name)
        if said[-1].get("holds") is False:
            return StalePlan("the holds changed since this plan was made, and were left as they are", where=name)
        return None

    def late(name: str) -> DeployerError | None:
        return Unreachable(f"no answer after {DEADLINE_S:g} s", where=name)

    return fan_out(hosts, one, limit=32, deadline_s=DEADLINE_S, late=late)
