"""Artifacts: immutable directories that are complete only once their marker is there. The frame that all of them share,
and the two simplest steps on them.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, Optional

from deployer.agent import files, put, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts import artifacts as facts
from deployer.agent.steps.base import ALREADY, Before, Step

Files = Optional[Dict[str, Dict[str, Any]]]  # relative path → {"size", "digest"}; None: not listed


class Artifact(Step):
    """Built in `building`, which is the final place, or (`renamed`) a directory beside it that is renamed at the end."""

    kind = ""
    renamed = False

    def build(self, ctx: Context, directory: str) -> Files:
        """Makes the content in `directory` (a path of the host, there already). Gives the files for the marker."""
        raise TypeError("an artifact that is not built: %s" % type(self).__name__)

    def building(self, ctx: Context) -> str:
        return ctx.path() + (facts.PART if self.renamed else "")

    def check(self, ctx: Context) -> Before:
        path = ctx.path()
        there = facts.marker(ctx.system, path)
        if there is not None:
            if ctx.args.get("digest") and there.get("digest") != ctx.args["digest"]:
                raise StepFailed(
                    "%s holds something else than what is wanted there (digest %s)" % (path, str(there.get("digest"))[:12])
                )
            return dict(ALREADY)
        for one in {path, self.building(ctx)}:
            if files.describe(ctx.system, one)["is"] != "nothing" and not _under_way(ctx, one):
                raise StepFailed(
                    "%s is there and was not made by deployer" % one, hint="move it away, or give the host other paths"
                )
        return {"made": files.missing_directories(ctx.system, os.path.dirname(path))}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        path, building = ctx.path(), self.building(ctx)
        if not self.keeps_leftovers:
            files.remove_tree(ctx.system, building)
        files.make_directories(ctx.system, building)
        about = {"kind": self.kind, "name": ctx.args.get("name", ""), "digest": ctx.args.get("digest", "")}
        files.write_json(ctx.system, "%s/%s" % (building, facts.UNDER_WAY), about)
        content = building
        if self.renamed:
            content = building + "/content"
            files.make_directories(ctx.system, content)
        listed = self.build(ctx, content)
        self._complete(ctx, content, dict(about, files=listed) if listed is not None else about)
        if self.renamed:
            files.remove_tree(ctx.system, path)  # an incomplete one that a crash left
            os.rename(ctx.system.path(content), ctx.system.path(path))
            files.remove_tree(ctx.system, building)
        return None

    keeps_leftovers = False

    def _complete(self, ctx: Context, content: str, about: Dict[str, Any]) -> None:
        """The marker is the last thing to be written; after it the directory is never changed again."""
        size = files.size_of(ctx.system, content)
        ctx.system.sync()  # a marker that survives a power cut before its files would be a lie
        files.write_json(ctx.system, "%s/%s" % (content, wire.MARKER), dict(about, bytes=size))
        if not self.renamed:
            files.remove(ctx.system, "%s/%s" % (content, facts.UNDER_WAY))

    def undo(self, ctx: Context, before: Before) -> None:
        """A complete one stays: it costs only disk, and the next try needs it."""
        path, building = ctx.path(), self.building(ctx)
        for one in {building, path}:
            if facts.marker(ctx.system, one) is None and _under_way(ctx, one):
                files.remove_tree(ctx.system, one)
        files.remove_empty(ctx.system, before.get("made", []))


def _under_way(ctx: Context, path: str) -> bool:
    found = files.describe(ctx.system, path)["is"]
    return found == "directory" and files.read(ctx.system, "%s/%s" % (path, facts.UNDER_WAY)) is not None


def need_space(ctx: Context, path: str, wanted: int) -> None:
    """A precondition that cannot be in the plan: the disk may have filled since."""
    total, free = ctx.system.disk(path)
    if wanted > free:
        raise StepFailed(
            "not enough room for %s: %d MiB needed, %d MiB of %d MiB free" % (path, wanted >> 20, free >> 20, total >> 20),
            cause="disk full",
            hint="free some space on that disk, or set paths: {models: …} in the host's file; hosts probe shows the disks",
        )


def take_blob(ctx: Context, sha256: str, target: str, mode: int) -> None:
    """Puts a received blob at `target` without a second copy of its bytes where the file system can."""
    source = put.path_of(sha256)
    real = ctx.system.path(target)
    files.make_directories(ctx.system, os.path.dirname(target))
    try:
        os.link(ctx.system.path(source), real)
    except FileNotFoundError:
        raise StepFailed("%s has not arrived on this host (blob %s)" % (os.path.basename(target), sha256[:12])) from None
    except OSError:
        import shutil

        shutil.copyfile(ctx.system.path(source), real)
    os.chmod(real, mode)


def throw_away_damaged(ctx: Context, digests: Iterable[str]) -> None:
    """Received blobs that are not what their name says: else every later try would take them for whole again."""
    for sha256 in digests:
        path = put.path_of(sha256)
        if os.path.exists(ctx.system.path(path)) and not files.matches(ctx.system, path, sha256):
            files.remove(ctx.system, path)


AGAIN = "apply again: what was damaged is brought anew"


class InstallTool(Artifact):
    """`tool.install`: one program, pushed."""

    kind = "tool"

    def build(self, ctx: Context, directory: str) -> Files:
        name, sha256 = str(ctx.args["executable"]), str(ctx.args["sha256"])
        if os.path.basename(name) != name or name.startswith("."):
            raise StepFailed("%r is not the name of a program" % name)
        target = "%s/%s" % (directory, name)
        take_blob(ctx, sha256, target, 0o755)
        if not files.matches(ctx.system, target, sha256):
            throw_away_damaged(ctx, [sha256])
            raise StepFailed("%s is damaged on this host: its digest differs" % name, cause="damaged or changed file", hint=AGAIN)
        return {name: {"size": os.path.getsize(ctx.system.path(target)), "digest": "sha256:" + sha256}}


class Remove(Step):
    """`artifact.remove`: only what nobody uses. Not undone: it stands last in a plan, and can be made again."""

    def check(self, ctx: Context) -> Before:
        path = ctx.path()
        found = files.describe(ctx.system, path)["is"]
        if found == "nothing" and files.describe(ctx.system, path + facts.PART)["is"] == "nothing":
            return dict(ALREADY)
        return {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        path = ctx.path()
        users = facts.users(ctx.system, revisions=True).get(path, set())
        if users:
            others = users - {ctx.fleet["id"]}
            return "kept: %s still uses it" % ("another fleet" if others else "a deployment of this fleet")
        for one in (path, path[: -len(facts.PART)] if path.endswith(facts.PART) else path + facts.PART):
            _remove_ours(ctx, one)
        files.remove_empty(ctx.system, _parents(path))
        return None


def _remove_ours(ctx: Context, path: str) -> None:
    if files.describe(ctx.system, path)["is"] == "nothing":
        return
    if facts.marker(ctx.system, path) is None and not _under_way(ctx, path):
        raise StepFailed("%s does not carry our marker: it is left alone" % path)
    # first it stops being complete, so that a crash in the middle leaves nothing that looks usable
    files.write_json(ctx.system, "%s/%s" % (path, facts.UNDER_WAY), {"kind": "removed"})
    files.remove(ctx.system, "%s/%s" % (path, wire.MARKER))
    files.remove_tree(ctx.system, path)


def _parents(path: str) -> List[str]:
    """Directories of ours that may now be empty: a model's, and the roots in their usual places."""
    found = [os.path.dirname(path)]
    for root in (wire.ROOT_ENGINES, wire.ROOT_MODELS):
        if path.startswith(root + "/"):
            found += [root] if root == wire.ROOT_MODELS else [root, os.path.dirname(root)]
    return found
