"""`gateway.keys`, `gateway.reload`, `endpoint.ready`: the HAProxy in front, as this fleet runs it on this host."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Dict, List, Optional

from deployer.agent import files, parts, paths, starts, systemctl
from deployer.agent.context import Context, StepFailed, last_words
from deployer.agent.steps import units
from deployer.agent.steps.base import Before, Step
from deployer.agent.steps.text import mode_of, own_path, put_back
from deployer.agent.system import TooLong

#: The name that requests of our own carry, as render.gateway knows it. No key of a person can begin with a colon.
PROBE_NAME = ":probe"
START_S = 30.0
BACK_S = 15.0  # how long the gateway may take to see that an old version is up again


def probe_key(ctx: Context) -> str:
    found = files.read(ctx.system, paths.probe_key(ctx.fleet))
    if not found:
        raise StepFailed("this fleet has no probe key on this host")
    return found.decode("ascii").strip()


class Keys(Step):
    """The map that HAProxy looks keys up in: "<sha256 of the key> <name>" on each line."""

    def check(self, ctx: Context) -> Before:
        path = own_path(ctx)
        return {"was": files.describe(ctx.system, path), "made": files.missing_directories(ctx.system, os.path.dirname(path))}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        path = own_path(ctx)
        lines: Dict[str, str] = {hashlib.sha256(probe_key(ctx).encode()).hexdigest(): PROBE_NAME}
        kept = self._there(ctx, path)
        for key in ctx.args.get("keys") or []:
            name = str(key["name"])
            if not re.match(r"[^\s\x00-\x1f\x7f]{1,200}\Z", name):
                raise StepFailed("%r cannot be the name of a key" % name)
            lines[self._hash(ctx, key, kept)] = name
        text = "".join("%s %s\n" % line for line in sorted(lines.items(), key=lambda line: (line[1], line[0])))
        files.make_directories(ctx.system, os.path.dirname(path))
        files.write(ctx.system, path, text.encode(), mode_of(ctx.args.get("mode"), 0o600), ctx.args.get("owner"))
        return "%d keys" % (len(ctx.args.get("keys") or []))

    def _hash(self, ctx: Context, key: Dict[str, str], kept: Dict[str, str]) -> str:
        if key.get("sha256"):
            return _hex(str(key["sha256"]))
        value = ctx.secret(str(key["secret"]))
        if value:
            return hashlib.sha256(value.encode()).hexdigest()
        if key["name"] in kept:
            return kept[key["name"]]
        raise StepFailed(
            "the key %s (%s) was not at hand" % (key["name"], key["secret"]), hint="set it where you run apply, and plan again"
        )

    def _there(self, ctx: Context, path: str) -> Dict[str, str]:
        """Name → hash of the map as it is."""
        words = [line.split(" ", 1) for line in (files.read(ctx.system, path) or b"").decode("utf-8", "replace").splitlines()]
        return {pair[1]: pair[0] for pair in words if len(pair) == 2}

    def undo(self, ctx: Context, before: Before) -> None:
        put_back(ctx, own_path(ctx), before)


def _hex(text: str) -> str:
    if not re.match(r"[0-9a-f]{64}\Z", text):
        raise StepFailed("a key's hash is 64 hex digits")
    return text


class Reload(Step):
    """The configuration is checked before the running one is touched. Started when it does not run yet."""

    after_files = True

    def check(self, ctx: Context) -> Before:
        return {"up": systemctl.is_up(units.state(ctx, units.own(ctx)))}

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        unit, folder = units.own(ctx), ctx.path("config_dir")
        parts.assemble(ctx.system, folder)
        done = ctx.system.run(["haproxy", "-c", "-f", ctx.system.path(folder)], timeout=60, env=ctx.environment())
        if done.rc != 0:
            alerts = [line for line in done.lines if "ALERT" in line] or done.lines
            raise StepFailed(
                "HAProxy does not accept the new configuration: %s" % (alerts or ["no reason given"])[0], log=done.lines
            )
        if not before["up"]:
            units.start(ctx, unit)
        else:
            done = systemctl.call(ctx.system, "reload", unit)
            if done.rc != 0:
                raise StepFailed("systemctl reload %s: %s" % (unit, last_words(done)), log=done.lines)
        self._until_active(ctx, unit)
        return None

    def _until_active(self, ctx: Context, unit: str) -> None:
        end = ctx.system.clock() + START_S
        while True:
            found = units.state(ctx, unit)
            if found.get("ActiveState") == "active":
                return
            if found.get("ActiveState") in ("failed", "inactive") or ctx.system.clock() > end:
                raise StepFailed("the gateway %s is %s" % (unit, found.get("ActiveState", "unknown")), log=_last_lines(ctx, unit))
            ctx.system.sleep(0.2)

    def undo(self, ctx: Context, before: Before) -> None:
        """The old configuration is taken up again; a gateway that was not there ends."""
        unit = units.own(ctx)
        parts.assemble(ctx.system, ctx.path("config_dir"))
        if not before["up"]:
            units.stop(ctx, unit, units.STOP_S)
        elif not systemctl.is_up(units.state(ctx, unit)):
            units.start(ctx, unit)
        else:
            done = systemctl.call(ctx.system, "reload", unit)
            if done.rc != 0:
                raise StepFailed("systemctl reload %s: %s" % (unit, last_words(done)), log=done.lines)


def _last_lines(ctx: Context, unit: str) -> List[str]:
    """Of its journal, if that can be had: why it was asked for is said in any case."""
    try:
        return ctx.system.run(["journalctl", "-q", "--no-pager", "-o", "cat", "-n", "20", "-u", unit], timeout=20).lines
    except (OSError, TooLong):
        return []


class EndpointReady(Step):
    """The endpoint answers a real request where clients will send theirs, with the host's own key."""

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + probe_key(ctx)}
        body = json.dumps(ctx.args["body"]).encode()
        end = ctx.system.clock() + float(ctx.args.get("deadline_s") or 30.0)
        log: List[str] = []
        why = ""
        while True:
            ctx.check()
            try:
                status, answer = ctx.system.http("POST", str(ctx.args["url"]), headers, body, timeout=60)
                if status == 200:
                    if why:
                        starts.endpoint_answers(ctx)
                    return "answers"
                why = "it answers %d" % status
                log = answer[:2000].decode("utf-8", "replace").splitlines()
            except OSError as error:
                why = "no answer: %s" % (error.strerror or error)
            if ctx.system.clock() > end:
                raise StepFailed("the endpoint %s is not ready: %s" % (ctx.args["url"], why), log=log)
            ctx.progress(phase="asking the endpoint: %s" % why)
            ctx.system.sleep(0.3)


class EndpointAgain(Step):
    """Does nothing. Undone, it waits a little until the endpoint answers with what stood before: the gateway looks only
    every so often whether a replica is up. No problem of its own: the old one is back either way.
    """

    after_files = True

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        return None

    def undo(self, ctx: Context, before: Before) -> None:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + probe_key(ctx)}
        body = json.dumps(ctx.args["body"]).encode()
        end = ctx.system.clock() + BACK_S
        while ctx.system.clock() < end:
            try:
                if ctx.system.http("POST", str(ctx.args["url"]), headers, body, timeout=10)[0] == 200:
                    return
            except OSError:
                pass  # not up yet: asked again
            ctx.system.sleep(0.3)
