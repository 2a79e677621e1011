"""Brings a host what its run waits for, beside the following of the run. Called by apply and attach."""

from collections.abc import Mapping
from typing import Any

from deployer.execute.events import Event
from deployer.execute.follow import Follower, now
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.push import BlobSource, Push
from deployer.plan import steps
from deployer.plan.model import Plan


def feed(follower: Follower, pool: Pool, plan: Plan, host: str, source: BlobSource, patience: Patience) -> None:
    """Returns at once; nothing is sent that the host has already. When it fails, the host's run is stopped."""
    blobs = steps.blobs_needed(plan, host)
    if not blobs:
        return
    fleet = {"id": plan.fleet_id, "name": plan.fleet_name}

    def tell(data: Mapping[str, Any]) -> None:
        follower.post(Event("transfer", now(), host, label="bringing files", state="progress", data=data))

    follower.feed(host, Push(pool, host, fleet, blobs, source, tell, patience).run)
