"""`env.build`: a Python environment from hash-pinned requirements, by uv, in its final place."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional, Set

from deployer.agent import files, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts.machine import find_python
from deployer.agent.steps.artifacts import Artifact, Files, take_blob, throw_away_damaged

CACHE = wire.ROOT_CACHE + "/uv"
REQUIREMENTS = "requirements.txt"


class Build(Artifact):
    kind = "environment"

    def build(self, ctx: Context, directory: str) -> Files:
        uv, env = ctx.system.path(ctx.path("uv")), self._environment(ctx)
        wanted = str(ctx.args.get("python") or "3")
        python = find_python(ctx.system, wanted)
        if python is None:
            raise StepFailed(
                "there is no Python %s on this host" % wanted, hint="install it, or lock a target for a Python that is there"
            )
        real = ctx.system.path(directory)
        ctx.progress(phase="making the environment")
        ctx.run([uv, "venv", "--no-config", "--no-project", "--allow-existing", "--python", python, real], "uv venv", env=env)
        text = str(ctx.args["requirements"])
        files.write(ctx.system, "%s/%s" % (directory, REQUIREMENTS), text.encode())
        wheels = self._wheels(ctx, directory)
        argv = [uv, "pip", "sync", "--no-config", "--require-hashes", "--only-binary", ":all:"]
        # what serves cannot write bytecode later; what runs once is quicker without
        argv += ["--compile-bytecode"] if ctx.args.get("compile", True) else []
        argv += ["--python", real + "/bin/python", "%s/%s" % (real, REQUIREMENTS)]
        if wheels:
            env["UV_FIND_LINKS"] = ctx.system.path(wheels)
            if _names(text) <= {_plain(str(w["name"]).partition("-")[0]) for w in ctx.args["wheels"]}:
                argv.append("--no-index")  # everything was pushed: a host without internet need not reach one
        self._sync(ctx, argv, env, text)
        if wheels:
            files.remove_tree(ctx.system, wheels)
        ctx.run([real + "/bin/python", "-I", "-c", "pass"], "the new environment's Python", env=env)
        return None

    def _environment(self, ctx: Context) -> Dict[str, str]:
        """Index addresses go by environment, not by argument: they may hold a password."""
        env = ctx.environment()
        if "UV_CACHE_DIR" not in env:
            files.make_directories(ctx.system, CACHE)
            env["UV_CACHE_DIR"] = ctx.system.path(CACHE)
        env.update({"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"})
        if ctx.args.get("index_url"):
            env["UV_DEFAULT_INDEX"] = str(ctx.args["index_url"])
        if ctx.args.get("extra_index_urls"):
            env["UV_INDEX"] = " ".join(str(url) for url in ctx.args["extra_index_urls"])
        return env

    def _wheels(self, ctx: Context, directory: str) -> Optional[str]:
        wheels: List[Dict[str, Any]] = ctx.args.get("wheels") or []
        if not wheels:
            return None
        folder = directory + "/.wheels"
        for wheel in wheels:
            name = str(wheel["name"])
            if os.path.basename(name) != name or not name.endswith(".whl"):
                raise StepFailed("%r is not the name of a wheel" % name)
            take_blob(ctx, str(wheel["sha256"]), "%s/%s" % (folder, name), 0o644)
        return folder

    def _sync(self, ctx: Context, argv: List[str], env: Dict[str, str], text: str) -> None:
        count = len(_names(text))
        started = ctx.system.clock()

        def tick() -> None:
            ctx.progress(phase="installing %d packages, %.0f s so far" % (count, ctx.system.clock() - started))

        try:
            ctx.run(argv, "uv pip sync", env=env, tick=tick)
        except StepFailed as error:
            throw_away_damaged(ctx, [str(wheel["sha256"]) for wheel in ctx.args.get("wheels") or []])
            raise _explained(error) from None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(requirements: str) -> Set[str]:
    """Distributions that pinned requirements name, in their plain spelling."""
    found = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", requirements, re.M)
    return {_plain(name) for name in found}


def _explained(error: StepFailed) -> StepFailed:
    text = "\n".join([error.message, *error.log]).lower()
    if "no space left" in text:
        return StepFailed(error.message, cause="disk full", hint="hosts probe shows the disks", log=error.log)
    if "hash mismatch" in text:
        hint = "deployer lock makes the hashes anew; look first at why the package changed"
        return StepFailed(error.message, cause="a package is not the one that was locked", hint=hint, log=error.log)
    if any(sign in text for sign in ("failed to fetch", "error sending request", "dns error", "connection refused", "timed out")):
        hint = "set index_url or proxy in the host's file, or push the wheels with packages.find_links"
        return StepFailed(error.message, cause="the host cannot reach the package index", hint=hint, log=error.log)
    return error
