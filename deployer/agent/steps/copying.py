"""`model.copy`: a model that another host has. The controller brings it from there; this host says what it wants, is told which
files it is made of (see copies.py), and keeps what arrived for the next try.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from deployer.agent import copies
from deployer.agent.context import Context, StepFailed
from deployer.agent.steps.artifacts import Artifact, Files, need_space
from deployer.agent.steps.base import Before
from deployer.agent.steps.blobs import AGAIN, STALL_S, missing, not_alone, wait_for
from deployer.agent.steps.model import checked, put_together, sha256_of


class Copy(Artifact):
    kind = "model"
    renamed = True

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        try:
            super().do(ctx, before)
        finally:
            copies.over(ctx.system, ctx.shared.run, str(ctx.args["digest"]))
        return "copied from %s" % ctx.args["from"]

    def build(self, ctx: Context, directory: str) -> Files:
        wanted = checked(self._files(ctx))
        blobs = [{"sha256": sha256_of(one), "size": int(one["size"])} for one in wanted]
        need_space(ctx, directory, sum(int(b["size"]) for b in missing(ctx, blobs)))

        def look() -> None:
            self._told(ctx)

        wait_for(ctx, blobs, ctx.remaining(), STALL_S, look)
        return put_together(ctx, directory, wanted)

    def _files(self, ctx: Context) -> List[Dict[str, Any]]:
        """Waits for the giver's word; how long it takes until it is our turn only the controller knows."""
        giver, path = str(ctx.args["from"]), str(ctx.args["from_path"])
        wants = {"host": giver, "path": path, "name": ctx.args.get("name", ""), "digest": ctx.args["digest"]}
        ctx.progress(phase="asking %s for it" % giver, wants=wants)
        since = ctx.system.clock()
        while True:
            found = self._told(ctx)
            if found is not None:
                return found
            ctx.check()
            not_alone(ctx, since)
            ctx.system.pause(0.05)

    def _told(self, ctx: Context) -> Optional[List[Dict[str, Any]]]:
        word = copies.told(ctx.system, ctx.shared.run, str(ctx.args["digest"])) or {}
        if word.get("error"):
            what = "what came from %s cannot be kept: %s" if word.get("here") else "%s could not give it: %s"
            raise StepFailed(what % (ctx.args["from"], word["error"]), hint=word.get("hint") or AGAIN)
        files: Optional[List[Dict[str, Any]]] = word.get("files")
        return files
