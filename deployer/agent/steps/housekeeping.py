"""`tree.remove`, `run.undo`, `agent.remove`: what is left behind is taken away."""

from __future__ import annotations

import os
from typing import List, Optional

from deployer.agent import files, paths, runs, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts import state
from deployer.agent.steps.base import ALREADY, Before, Step


class RemoveTree(Step):
    """A directory of this fleet with all that is in it. Not undone."""

    def check(self, ctx: Context) -> Before:
        path = ctx.path()
        real = os.path.realpath(ctx.system.path(path))
        inside = any(path == tree or paths.below(path, tree) for tree in paths.own_trees(ctx.fleet))
        parent = os.path.realpath(ctx.system.path(os.path.dirname(path)))
        if not inside or real != os.path.join(parent, os.path.basename(path)):
            raise StepFailed("%s is not a directory of the fleet %s" % (path, ctx.fleet["name"]))
        header = files.read_json(ctx.system, "%s/%s" % (paths.state(ctx.fleet), wire.FLEET_FILE))
        if header is not None and header.get("id") != ctx.fleet["id"]:
            raise StepFailed("%s is marked as another fleet's: it is left alone" % paths.state(ctx.fleet))
        return {} if os.path.isdir(ctx.system.path(path)) else dict(ALREADY)

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        path = ctx.path()
        files.remove_tree(ctx.system, path)
        for root, private in _PRIVATE:
            if paths.below(path, root):
                files.remove_tree(ctx.system, private + path[len(root) :])
        return None


#: What a dynamic user's unit sees as its cache, or its logs, is a link to where systemd keeps them.
_PRIVATE = ((wire.ROOT_CACHE, wire.ROOT_CACHE_PRIVATE), (wire.ROOT_LOGS, wire.ROOT_LOGS_PRIVATE))


class UndoRun(Step):
    """Undoes what an unfinished run left, from what that run kept on disk. `settle` true only forgets it."""

    def check(self, ctx: Context) -> Before:
        run_id = str(ctx.args["run"])
        request = runs.request(ctx.system, run_id)
        if request is None or runs.is_settled(ctx.system, run_id):
            return dict(ALREADY)
        if (request.get("fleet") or {}).get("id") != ctx.fleet["id"]:
            raise StepFailed("the run %s is another fleet's" % run_id)
        return {}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        from deployer.agent.recover import undo_run

        run_id = str(ctx.args["run"])
        if ctx.args.get("settle"):
            runs.settle(ctx.system, run_id, "settled by " + ctx.shared.run)
            return "forgotten"
        problems = undo_run(ctx.shared, run_id, ctx.progress)
        if problems:
            raise StepFailed("the run %s could not be undone: %s" % (run_id, problems[0]), log=problems)
        runs.settle(ctx.system, run_id, "undone by " + ctx.shared.run)
        return None


class RemoveAgent(Step):
    """When nothing of any fleet is left, the run takes the agent's own traces with it at its very end."""

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        left = remains(ctx)
        if left:
            return "kept: %s is still there" % left[0]
        ctx.shared.remove_agent = True
        return None


def remains(ctx: Context) -> List[str]:
    """What other fleets, or artifacts, still have on this host."""
    found = ["the fleet " + name for _fleet_id, name in state.fleets(ctx.system)]
    found += ["%s/%s" % (wire.UNITS, n) for n in state.listing(ctx.system, wire.UNITS) if n.startswith(wire.UNIT)]
    for root in (wire.ROOT_ETC, wire.ROOT_ENGINES, wire.ROOT_MODELS):
        found += ["%s/%s" % (root, name) for name in state.listing(ctx.system, root)]
    return found
