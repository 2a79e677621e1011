"""What plan, apply, prune and the holds share: options from the command line, showing and keeping a plan."""

import argparse
import os
import shlex
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.cli import console
from deployer.plan.world import Options


def options(args: argparse.Namespace, **more: object) -> Options:
    found: dict[str, object] = {
        "names": tuple(getattr(args, "names", ())),
        "tags": tuple(getattr(args, "tag", ())),
        "hosts": tuple(getattr(args, "host", ())),
        "prune": getattr(args, "prune", False),
        "replace_lost": tuple(getattr(args, "replace_lost", ())),
        "allow_divergent": getattr(args, "allow_divergent", False),
        "allow": getattr(args, "allow", False),
        "release": tuple(getattr(args, "release", ())),
        "explain": tuple(getattr(args, "explain", None) or ()),
        **more,
    }
    return Options(**found)  # type: ignore[arg-type]


def make_plan(fleet: Fleet, wanted: Options) -> Planned:
    hosts = len(wanted.hosts or fleet.spec.hosts)
    if console.interactive():
        console.say(f"asking {hosts} host{'s' * (hosts != 1)} …")
    return fleet.plan(wanted)


def show(planned: Planned) -> None:
    console.out(planned.text(color=console.color(), unicode=console.unicode()))


def keep(planned: Planned) -> None:
    """Every plan is kept, so that exactly it can be done."""
    path = planned.save()
    if not planned.plan.empty and not planned.plan.refusals:
        console.say(f"Saved.  To do exactly this:  deployer apply {_shown(path, planned.fleet.root)}")


def _shown(path: Path, root: Path) -> str:
    """As it can be pasted where the person stands: with -C when that is not the fleet."""
    here = Path.cwd().resolve()
    if here == root:
        return shlex.quote(str(path.relative_to(root)))
    return f"{shlex.quote(_near(path, here))} -C {shlex.quote(_near(root, here))}"


def _near(path: Path, here: Path) -> str:
    relative = os.path.relpath(path, here)
    return str(path) if relative.startswith(f"..{os.sep}..") else relative
