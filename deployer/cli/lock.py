"""`deployer lock`: pins what the fleet needs from the world."""

import argparse

from deployer.app import checking
from deployer.cli import arguments as shared
from deployer.cli import console
from deployer.cli.fleet import open_fleet
from deployer.lock.request import Progress

EXAMPLES = (
    "deployer lock",
    "deployer lock --check                              # in CI: is it up to date?",
    "deployer lock --upgrade hub:Qwen/Qwen3-0.6B@main",
)

_SYMBOLS = {"locked": "+", "changed": "~", "dropped": "-", "failed": "✗", "note": "·"}


def arguments(parser: argparse.ArgumentParser) -> None:
    help_ = "look everything up again, or only this model (hub:ORG/NAME@REVISION) or environment"
    parser.add_argument("--upgrade", nargs="*", metavar="KEY", help=help_)
    parser.add_argument("--check", action="store_true", help="write nothing, look nothing up; 3 when the lock is behind")
    shared.as_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.check:
        return _check(args)
    said: list[Progress] = []

    def listen(progress: Progress) -> None:
        said.append(progress)
        if args.json or progress.state == "kept":
            return
        detail = f"  {progress.detail}" if progress.detail else ""
        text = f"  {_SYMBOLS.get(progress.state, ' ')}  {progress.kind} {progress.key}{detail}"
        console.say(f"{text} …" if progress.state == "resolving" else text)

    upgrade = () if args.upgrade is None else args.upgrade or "all"
    with open_fleet(args) as fleet:
        locked = fleet.lock(upgrade, listen)
        checking.check_models(fleet.loaded)  # what is locked is written: the file says what to change
    changed = [p for p in said if p.state in ("locked", "changed", "dropped")]
    if args.json:
        counts = {"models": len(locked.models), "environments": len(locked.environments)}
        console.emit(
            {**counts, "changes": [{"kind": p.kind, "key": p.key, "state": p.state, "detail": p.detail} for p in changed]}
        )
        return 0
    word = "is up to date" if not changed else f"is written, {len(changed)} changed: commit it with locks/"
    console.out(f"deployer.lock {word} ({len(locked.models)} models, {len(locked.environments)} environments)")
    return 0


def _check(args: argparse.Namespace) -> int:
    """Raises what `plan` would: LockfileError when it is missing or behind."""
    with open_fleet(args) as fleet:
        locked = fleet.locked()
    counts = {"models": len(locked.models), "environments": len(locked.environments)}
    if args.json:
        console.emit({**counts, "changes": []})
    else:
        console.out(
            f"deployer.lock says all that the files want ({counts['models']} models, {counts['environments']} environments)"
        )
    return 0
