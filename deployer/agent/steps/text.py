"""`file.write` and `file.remove`: this fleet's files in /etc and its units."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Union

from deployer.agent import files, paths, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts.units import is_marked
from deployer.agent.steps.base import ALREADY, Before, Step


def own_path(ctx: Context) -> str:
    try:
        return paths.own_file(ctx.fleet, ctx.path())
    except paths.Refusal as error:
        raise StepFailed(str(error)) from None


def mode_of(value: Union[str, int, None], default: int = 0o644) -> int:
    """From "0640" or 416."""
    if value is None:
        return default
    return int(value, 8) if isinstance(value, str) else int(value)


def refuse_foreign(ctx: Context, path: str) -> None:
    """A unit that has our name and not our mark is somebody else's."""
    if os.path.dirname(path) != wire.UNITS:
        return
    there = files.read(ctx.system, path)
    if there is not None and not is_marked(there, ctx.fleet["id"]):
        raise StepFailed(
            "%s is not ours: it does not carry this fleet's id" % path, hint="move it away, or give the deployment another name"
        )


def put_back(ctx: Context, path: str, before: Before) -> None:
    """The file as it was, and the directories that were made for it gone when they are empty."""
    files.restore(ctx.system, path, before["was"])
    files.remove_empty(ctx.system, before.get("made", []))
    if path.startswith(wire.UNITS + "/"):
        ctx.shared.units_changed = True


class Write(Step):
    def check(self, ctx: Context) -> Before:
        path = own_path(ctx)
        refuse_foreign(ctx, path)
        return {"was": files.describe(ctx.system, path), "made": files.missing_directories(ctx.system, os.path.dirname(path))}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        path = own_path(ctx)
        content = self._content(ctx)
        if content is None:
            if before["was"]["is"] == "file":
                return "kept as it is on the host"
            reference = ctx.args.get("secret")
            raise StepFailed(
                "the secret %s is needed here and was not at hand" % reference, hint="set it where you run apply, and plan again"
            )
        files.make_directories(ctx.system, os.path.dirname(path))
        files.write(
            ctx.system,
            path,
            content,
            mode_of(ctx.args.get("mode"), 0o600 if "secret" in ctx.args else 0o644),
            ctx.args.get("owner"),
        )
        return None

    def _content(self, ctx: Context) -> Optional[bytes]:
        if "secret" in ctx.args:
            value = ctx.secret(str(ctx.args["secret"]))
            return None if value is None else value.encode()
        return str(ctx.args["content"]).encode("utf-8", "surrogateescape")

    def undo(self, ctx: Context, before: Before) -> None:
        put_back(ctx, own_path(ctx), before)


class Remove(Step):
    """A directory only when it is empty."""

    def check(self, ctx: Context) -> Before:
        path = own_path(ctx)
        refuse_foreign(ctx, path)
        was: Dict[str, Any] = files.describe(ctx.system, path)
        return dict(ALREADY) if was["is"] == "nothing" else {"was": was}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        path = own_path(ctx)
        if before["was"]["is"] != "directory":
            files.remove(ctx.system, path)
            return None
        try:
            os.rmdir(ctx.system.path(path))
        except OSError:
            return "kept: it is not empty"
        return None

    def undo(self, ctx: Context, before: Before) -> None:
        put_back(ctx, own_path(ctx), before)
