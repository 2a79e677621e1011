"""A rule that leaves a difference on a host alone, written into deployer.yaml: the edit as a value that is shown first, then
done. Used by the terminal UI's drift place.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

import yaml

from deployer.app import checking, written
from deployer.app.yamledit import data_of, with_item
from deployer.errors import UsageError
from deployer.spec.load import FLEET_FILE


@dataclass(frozen=True, slots=True)
class Edit:
    """`rule`: the item that is added, as it is written."""

    root: Path
    rule: str
    before: str
    after: str

    def diff(self) -> list[str]:
        """Unified, without line ends."""
        old, new = self.before.splitlines(), self.after.splitlines()
        return list(difflib.unified_diff(old, new, FLEET_FILE, FLEET_FILE, lineterm=""))

    def write(self) -> Path:
        """Raises UsageError when the file is another one by now, or cannot be written."""
        path = self.root / FLEET_FILE
        if _read(path) != self.before:
            raise UsageError(f"{FLEET_FILE} was changed meanwhile; nothing was written", hint="look at the edit again")
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(self.after, encoding="utf-8")
            part.chmod(path.stat().st_mode)
            part.replace(path.resolve())
        except OSError as error:
            raise UsageError(f"{FLEET_FILE} cannot be written: {error.strerror}", hint=f"add it by hand: {self.rule}") from None
        return path


def ignore(root: Path, host: str, deployment: str | None, what: str) -> Edit:
    """The edit that adds `{host, deployment, what}` to `drift.ignore`. Raises UsageError, with the rule to write by hand, when
    the file is written in a way that a line edit cannot follow; SpecError when the fleet would not load with it.
    """
    said = {"host": host, "deployment": deployment, "what": what}
    rule = "{" + ", ".join(f"{key}: {written.text(text, flow=True)}" for key, text in said.items() if text is not None) + "}"
    before = _read(root / FLEET_FILE)
    wanted = data_of(before)
    by_hand = UsageError(f"{FLEET_FILE} is written in a way that cannot be edited here", hint=f"add to drift: ignore:  - {rule}")
    if not isinstance(wanted, dict):
        raise by_hand
    section = wanted.get("drift") or {}
    if not isinstance(section, dict) or not isinstance(section.get("ignore") or [], list):
        raise by_hand
    wanted["drift"] = {**section, "ignore": [*(section.get("ignore") or []), data_of(rule)]}
    after = _edited(before, rule)
    if after is None or data_of(after) != wanted:
        raise by_hand
    checking.load(root, {FLEET_FILE: after})
    return Edit(root, rule, before, after)


def _edited(text: str, rule: str) -> str | None:
    try:
        return with_item(text, "drift", "ignore", rule)
    except yaml.YAMLError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{FLEET_FILE} cannot be read: {error}") from None
