"""`gateway.peers`: which other hosts' gateways this one lets in and goes to, by their certificates."""

from __future__ import annotations

import os
from typing import Dict, Optional

from deployer.agent import files, paths, peers
from deployer.agent.context import Context
from deployer.agent.steps.base import Before, Step
from deployer.agent.steps.text import put_back


class Peers(Step):
    """Hosts that are in this run bring theirs through the barrier; of the others the plan has what the probe found, and what
    stands here already stays.
    """

    def check(self, ctx: Context) -> Before:
        path = paths.peers(ctx.fleet)
        return {"was": files.describe(ctx.system, path), "made": files.missing_directories(ctx.system, os.path.dirname(path))}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        host = str(ctx.shared.request.get("host"))
        wanted: Dict[str, Optional[str]] = dict(ctx.args.get("hosts") or {})
        brought = {name: text for name, text in wanted.items() if text}
        brought.update({n: t for n, t in (ctx.shared.barrier.get("certificates") or {}).items() if n in wanted})
        brought[host] = peers.make(ctx.system, ctx.fleet, host)
        text = peers.merged(peers.known(ctx.system, ctx.fleet), brought, sorted({*wanted, host}))
        files.make_directories(ctx.system, os.path.dirname(paths.peers(ctx.fleet)))
        files.write(ctx.system, paths.peers(ctx.fleet), text.encode("ascii"), 0o600)
        return "%d hosts" % len(peers.blocks(text.encode("ascii")))

    def undo(self, ctx: Context, before: Before) -> None:
        put_back(ctx, paths.peers(ctx.fleet), before)
