"""Everything the planner may know, gathered: files, lock, hosts, git, secrets' fingerprints. Called by Fleet.plan."""

from collections.abc import Mapping
from datetime import UTC, datetime

from deployer.app import certificates
from deployer.app.files import OWN_TOOLS, own_tool
from deployer.app.secretvalues import SecretValues
from deployer.engines import ENGINES
from deployer.plan.world import Git, Options, World
from deployer.spec.load import Loaded
from deployer.state.locked import Locked, LockedTool
from deployer.state.observed import Observed, Reached


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def make_world(
    loaded: Loaded,
    locked: Locked,
    observed: Observed,
    secrets: SecretValues,
    options: Options,
    *,
    who: str,
    git: Git,
) -> World:
    return World(
        fleet=loaded.fleet,
        positions=loaded.positions,
        locked=locked,
        observed=observed,
        engines=ENGINES,
        now=now(),
        git=git,
        secrets=secrets.fingerprints(observed),
        options=options,
        tools=tools(locked),
        who=who,
        certificate=certificates.read(loaded.root, tls, secrets) if (tls := loaded.fleet.gateway.tls) else None,
    )


def tools(locked: Locked) -> Mapping[str, LockedTool]:
    """The programs we bring: those of the lock, and our own as this version carries them."""
    return {**locked.tools, **{name: own_tool(name)[0] for name in OWN_TOOLS}}


def commits(observed: Observed) -> list[str]:
    """Commits that hosts say were applied."""
    found = {
        str(record["git_commit"])
        for reached in observed.values()
        if isinstance(reached, Reached)
        for record in reached.probe.get("records", {}).values()
        if record.get("git_commit")
    }
    return sorted(found)
