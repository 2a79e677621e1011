"""`model.convert`: a model made from another one by a program of an environment."""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict, List

from deployer.agent import files, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts import artifacts as facts
from deployer.agent.facts.machine import memory_of
from deployer.agent.meter import Meter
from deployer.agent.steps.artifacts import Artifact, Files, need_space
from deployer.agent.steps.model import open_to_readers


def need_memory(ctx: Context, wanted: int) -> None:
    """A precondition that cannot be in the plan: what serves here may have grown since."""
    free = memory_of(ctx.system).get("MemAvailable", 0)
    if free and wanted > free:
        raise StepFailed(
            "not enough memory for the conversion: it takes about %d MiB, %d MiB are free" % (wanted >> 20, free >> 20),
            cause="no memory",
            hint="free some on this host and apply again; deployer plan may find another host that can convert it",
        )


class Convert(Artifact):
    kind = "model"
    renamed = True

    def build(self, ctx: Context, directory: str) -> Files:
        source, env_path = ctx.path("source"), ctx.path("env")
        if files.describe(ctx.system, source)["is"] != "directory":
            raise StepFailed("the model to convert is not at %s" % source)
        need_memory(ctx, int(ctx.args.get("memory_bytes") or 0))
        need_space(ctx, directory, int(ctx.args.get("result_bytes") or 0))
        target = os.path.dirname(directory) + "/made"  # converters want to make it themselves
        argv = self._argv(ctx, env_path, ctx.system.path(source), ctx.system.path(target))
        expected = int(ctx.args.get("result_bytes") or 0) or files.size_of(ctx.system, source)
        meter = Meter(ctx, expected, "writing the converted model")

        def tick() -> None:
            """A converter writes only when it has all of it in memory: until then there is nothing to measure."""
            done = files.size_of(ctx.system, target)
            if done:
                meter.show(min(expected, done))
            else:
                ctx.progress(phase="converting")

        ctx.progress(phase="converting")
        ctx.run(argv, "the conversion", env=self._environment(ctx, env_path), tick=tick)
        self._take(ctx, target, directory)
        self._nested(ctx, source, directory)
        open_to_readers(ctx, directory)
        return self._digests(ctx, directory)

    def _argv(self, ctx: Context, env: str, source: str, target: str) -> List[str]:
        argv = [str(word).replace("{source}", source).replace("{target}", target) for word in ctx.args["argv"]]
        argv = [word.replace("{env}", ctx.system.path(env)) for word in argv]
        if "/" not in argv[0]:
            argv[0] = "%s/bin/%s" % (ctx.system.path(env), argv[0])
        return argv

    def _environment(self, ctx: Context, env_path: str) -> Dict[str, str]:
        """Offline: whatever a converter would fetch is not what was locked."""
        env = dict(ctx.environment(), HF_HUB_OFFLINE="1", HF_HOME=ctx.system.path(wire.ROOT_CACHE + "/hub"))
        env["PATH"] = "%s/bin:%s" % (ctx.system.path(env_path), env["PATH"])
        return env

    def _take(self, ctx: Context, target: str, directory: str) -> None:
        real = ctx.system.path(target)
        names: List[str] = os.listdir(real) if os.path.isdir(real) else []
        if not any(os.path.getsize(os.path.join(real, name)) for name in names):
            raise StepFailed("the conversion ended without an error and made nothing")
        for name in names:
            shutil.move(os.path.join(real, name), os.path.join(ctx.system.path(directory), name))
        os.rmdir(real)

    def _nested(self, ctx: Context, source: str, directory: str) -> None:
        """Small files of the source that the converter would lay flat, and that have their meaning by their place."""
        for name in ctx.args.get("nested") or []:
            parts = str(name).split("/")
            if len(parts) < 2 or not all(parts) or ".." in parts:
                raise StepFailed("%s is no place for a file of a model" % name)
            target = ctx.system.path("%s/%s" % (directory, name))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(ctx.system.path("%s/%s" % (source, name)), target)

    def _digests(self, ctx: Context, directory: str) -> Dict[str, Dict[str, Any]]:
        found = {}
        for name in files.walk(ctx.system, directory):
            if name in (wire.MARKER, facts.UNDER_WAY):
                continue
            path = "%s/%s" % (directory, name)
            ctx.check()
            size = os.path.getsize(ctx.system.path(path))
            found[name] = {"size": size, "digest": "sha256:" + files.digest(ctx.system, path)}
        return found
