"""Plans as files: every plan that is shown is kept, so that exactly it can be applied. 0600, no secret in it."""

import json
import os
from pathlib import Path

from deployer.errors import DeployerError, StalePlan, UsageError
from deployer.plan import codec
from deployer.plan.model import Plan

FOLDER = Path(".deployer") / "plans"
KEPT = 50


def save(root: Path, plan: Plan) -> Path:
    """Into the fleet's own folder of plans; the oldest beyond fifty are forgotten."""
    own_folder(root)
    folder = root / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f"{plan.plan_id}.json"
    write(path, plan)
    others = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime)
    for old in others[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def own_folder(root: Path) -> None:
    """Where we keep what is this machine's alone; git looks away."""
    folder = root / FOLDER.parts[0]
    folder.mkdir(exist_ok=True, mode=0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def note(root: Path, file: Path, data: object) -> None:
    """Something that costs only time when it is lost, whole or not at all: a disk that is full or a folder that is not ours is no
    error.
    """
    path = root / file
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)


def kept(root: Path, plan_id: str) -> Plan | None:
    """The plan of that id, when it was made here and not forgotten since."""
    path = root / FOLDER / f"{plan_id}.json"
    return read(path) if plan_id.isalnum() and path.is_file() else None


def write(path: Path, plan: Plan) -> None:
    """Readable by its owner only, whole or not at all."""
    text = json.dumps(codec.to_json(plan), indent=2, ensure_ascii=False) + "\n"
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DeployerError(f"the plan cannot be written: {error.strerror}", where=str(path)) from None


def read(path: Path) -> Plan:
    """Raises DeployerError when it is no plan of ours."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError("there is no such plan", where=str(path), hint="deployer plan --out FILE makes one") from None
    except OSError as error:
        raise DeployerError(f"the plan cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError:
        hint = "make one: deployer plan --out FILE"
        raise DeployerError("this file is not a plan", where=str(path), hint=hint) from None
    if not isinstance(data, dict):
        raise DeployerError("this file is not a plan", where=str(path), hint="make one: deployer plan --out FILE")
    return codec.from_json(data)


def check_fleet(plan: Plan, fleet_id: str, path: Path) -> None:
    if plan.fleet_id != fleet_id:
        what = f"this plan is of fleet {plan.fleet_name} ({plan.fleet_id}), the files here are of fleet {fleet_id}"
        raise StalePlan(what, where=str(path), hint="-C DIR chooses the fleet; or make a new plan: deployer plan")
