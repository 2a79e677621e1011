"""`record`: what was applied for a deployment, written once it is true. `null` takes it away."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Set

from deployer.agent import files, paths, starts, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.steps.base import Before, Step
from deployer.agent.times import iso


def _folder(ctx: Context) -> str:
    try:
        return paths.deployment(ctx.fleet, str(ctx.args["deployment"]))
    except paths.Refusal as error:
        raise StepFailed(str(error)) from None


def _references(value: Any) -> Iterator[str]:
    """The secrets that a record's resources name."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("secret", "token") and isinstance(item, str):
                yield item
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


class Record(Step):
    def _paths(self, ctx: Context) -> List[str]:
        folder, record = _folder(ctx), ctx.args.get("record")
        found = [folder + "/current.json", folder + "/failure.json", "%s/%s" % (folder, starts.FILE)]
        if record is not None:
            found.append("%s/revisions/%d.json" % (folder, int(record["revision"])))
        return found

    def check(self, ctx: Context) -> Before:
        return {
            "was": {path: files.describe(ctx.system, path) for path in self._paths(ctx)},
            "made": files.missing_directories(ctx.system, _folder(ctx) + "/revisions"),
        }

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        folder, record = _folder(ctx), ctx.args.get("record")
        if record is None:
            files.remove(ctx.system, folder + "/current.json")
            files.remove(ctx.system, folder + "/failure.json")
            return None
        files.make_directories(ctx.system, folder + "/revisions")
        whole = self._complete(ctx, folder, dict(record))
        files.write_json(ctx.system, "%s/revisions/%d.json" % (folder, int(record["revision"])), whole)
        files.write_json(ctx.system, folder + "/current.json", whole)
        starts.keep(ctx, folder, whole)
        files.remove(ctx.system, folder + "/failure.json")  # it came up: what once failed is history
        return None

    def _complete(self, ctx: Context, folder: str, record: Dict[str, Any]) -> Dict[str, Any]:
        request = ctx.shared.request
        for key in ("who", "why", "git_commit"):
            record.setdefault(key, request.get(key))
        record.setdefault("deployment", ctx.args["deployment"])
        if not record.get("at"):
            record["at"] = iso(ctx.system.now())
        record["run"] = ctx.shared.run
        record["secrets"] = self._fingerprints(ctx, folder, set(record.get("secrets") or ()) | set(_references(record)))
        return record

    def _fingerprints(self, ctx: Context, folder: str, references: Set[str]) -> Dict[str, str]:
        """Of the values that were used; where one was not at hand, of the one that is still there."""
        key = (files.read(ctx.system, paths.secret_key(ctx.fleet)) or b"").decode("ascii").strip()
        there = files.read_json(ctx.system, folder + "/current.json") or {}
        before = there.get("secrets") or {}
        found = {}
        for reference in sorted(references):
            value = ctx.secret(reference)
            if value is not None and key:
                found[reference] = wire.secret_fingerprint(key, value)
            elif reference in before:
                found[reference] = before[reference]
        return found

    def undo(self, ctx: Context, before: Before) -> None:
        for path, was in before["was"].items():
            files.restore(ctx.system, path, was)
        files.remove_empty(ctx.system, before["made"])


class DropRevisions(Step):
    """`revisions.drop`: records of earlier revisions go; never the one that stands."""

    def _paths(self, ctx: Context) -> List[str]:
        folder = _folder(ctx)
        current = files.read_json(ctx.system, folder + "/current.json") or {}
        numbers = [int(number) for number in ctx.args["numbers"]]
        if current.get("revision") in numbers:
            raise StepFailed("revision %s of %s is the one that stands" % (current["revision"], ctx.args["deployment"]))
        return ["%s/revisions/%d.json" % (folder, number) for number in numbers]

    def check(self, ctx: Context) -> Before:
        found = {path: files.describe(ctx.system, path) for path in self._paths(ctx)}
        return {"was": {path: was for path, was in found.items() if was["is"] == "file"}}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        gone = [path for path in before["was"] if files.remove(ctx.system, path)]
        return "%d forgotten" % len(gone)

    def undo(self, ctx: Context, before: Before) -> None:
        for path, was in before["was"].items():
            files.restore(ctx.system, path, was)
