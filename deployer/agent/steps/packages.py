"""`package.install` and `package.remove`: packages of the operating system, by apt."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Set

from deployer.agent import files, systemctl, wire
from deployer.agent.context import Context, StepFailed
from deployer.agent.facts.machine import package_version
from deployer.agent.steps.base import ALREADY, Before, Step

#: {"haproxy": ["haproxy", "liblua5.3-0", …]}
NOTES = wire.PACKAGE_NOTES

APT = ("apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=180", "-o", "Dpkg::Use-Pty=0")


def _name(ctx: Context) -> str:
    import re

    name = str(ctx.args["name"])
    if not re.match(r"[a-z0-9][a-z0-9+.-]+\Z", name):
        raise StepFailed("%r is not the name of a package" % name)
    return name


def _notes(ctx: Context) -> Dict[str, List[str]]:
    found: Any = files.read_json(ctx.system, NOTES)
    return found if isinstance(found, dict) else {}


def _installed(ctx: Context) -> Set[str]:
    done = ctx.system.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"], timeout=60)
    words = [line.split() for line in done.out.decode("utf-8", "replace").splitlines()]
    return {pair[1] for pair in words if len(pair) == 2 and pair[0] == "ii"}


def _apt(ctx: Context, what: str, *words: str) -> None:
    env = dict(ctx.environment(), DEBIAN_FRONTEND="noninteractive", NEEDRESTART_SUSPEND="1")
    # dpkg that is killed leaves packages half-configured, and the next apt refuses to do anything
    ctx.run([*APT, *words], what, env=env, tick=lambda: ctx.progress(phase=what), whole=True)


def _forget(ctx: Context, name: str) -> None:
    notes = _notes(ctx)
    notes.pop(name, None)
    if notes:
        files.write_json(ctx.system, NOTES, notes)
    else:
        files.remove(ctx.system, NOTES)


class Install(Step):
    def check(self, ctx: Context) -> Before:
        name = _name(ctx)
        if package_version(ctx.system, name) is not None:
            return dict(ALREADY)
        return {"installed": sorted(_installed(ctx))}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        name = _name(ctx)
        words = ("install", "--no-install-recommends", name)
        try:
            _apt(ctx, "installing %s" % name, *words)
        except StepFailed:
            _apt(ctx, "apt-get update", "update")
            _apt(ctx, "installing %s" % name, *words)
        came = sorted(_installed(ctx) - set(before["installed"]))
        files.make_directories(ctx.system, wire.ROOT_STATE)
        files.write_json(ctx.system, NOTES, dict(_notes(ctx), **{name: came or [name]}))
        if name == "haproxy":
            # its own service would take ports and knows nothing of us; one that was there before is left alone
            systemctl.call(ctx.system, "disable", "--now", "haproxy.service", timeout=60)
        return None

    def undo(self, ctx: Context, before: Before) -> None:
        came = sorted(_installed(ctx) - set(before["installed"]))
        if came:
            _apt(ctx, "removing %s" % _name(ctx), "purge", *came)
        _forget(ctx, _name(ctx))


class Remove(Step):
    """Only what we installed. Not undone: it stands last in a plan."""

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        name = _name(ctx)
        came = _notes(ctx).get(name)
        if came is None:
            return "kept: it was here before us"
        there = _installed(ctx)
        if any(package in there for package in came):
            _apt(ctx, "removing %s" % name, "purge", *[package for package in came if package in there])
        _forget(ctx, name)
        return None
