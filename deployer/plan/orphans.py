"""What the hosts have and the files do not: always shown, removed only when somebody says so."""

from collections.abc import Sequence

from deployer.plan.diffs import Compared
from deployer.plan.model import Notice
from deployer.plan.roster import Roster
from deployer.plan.world import World


def notices(world: World, roster: Roster, compared: Sequence[Compared]) -> list[Notice]:
    """Orphan deployments, by name with their hosts, and orphan hosts: in the roster, in no file."""
    where: dict[str, list[str]] = {}
    for part in compared:
        for name in part.orphans:
            where.setdefault(name, []).append(part.host)
    found = [
        Notice(
            "orphan", f"{name} is on {', '.join(hosts)} but in no file; it stays", "to remove it: deployer prune", deployment=name
        )
        for name, hosts in sorted(where.items())
    ]
    for name in sorted(set(roster.members) - set(world.fleet.hosts) - set(world.options.replace_lost)):
        what = f"host {name} belongs to the fleet but has no file; nobody looks after it"
        found.append(
            Notice("orphan-host", what, f"bring hosts/{name}.yaml back with state: retired, or --replace-lost {name}", name)
        )
    return found
