"""Which addresses answer from the hosts: the agent's `reach`, on many hosts at once. Called by app.doctor."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.agent.wire import Answer, Way
from deployer.errors import DeployerError
from deployer.execute.fanout import fan_out
from deployer.execute.pool import Pool
from deployer.execute.probe import unreached
from deployer.spec.models import FleetSpec
from deployer.state.observed import Unreached

TIMEOUT_S = 8.0


def reach_hosts(
    pool: Pool, fleet: FleetSpec, wanted: Mapping[str, Sequence[Way]], *, limit: int = 32, timeout_s: float = TIMEOUT_S
) -> dict[str, list[Answer] | Unreached]:
    """By host. One that does not answer is Unreached: data, not an exception."""

    def one(name: str) -> list[Answer] | Unreached:
        host = pool.hosts[name]
        asked: dict[str, Any] = {
            "fleet": {"id": fleet.id, "name": fleet.name},
            "ways": list(wanted[name]),
            "timeout_s": timeout_s,
        }
        asked |= {"proxy": host.proxy, "ca": host.ca}
        try:
            channel = pool.connection(name).open("reach", asked)
            try:
                return [way for line in channel.lines() if line.get("type") == "reach" for way in line["ways"]]
            finally:
                channel.close()
        except DeployerError as error:
            pool.drop(name)
            return unreached(name, error)

    def late(name: str) -> Unreached:
        pool.drop(name)
        return Unreached(name=name, kind="timeout", message=f"no answer after {timeout_s + 12:g} s")

    return fan_out(wanted, one, limit=limit, deadline_s=timeout_s + 12.0, late=late)
