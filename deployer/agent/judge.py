"""`judge`: what engines here say of options that are not in force yet: asked for a plan, so nothing stays of it on the host.
The step `engine.check` asks in the same way and notes what is well; what is noted is not asked again.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import Any, Callable, Dict, List, Optional

from deployer.agent import files, paths, wire
from deployer.agent.children import child
from deployer.agent.context import child_environment
from deployer.agent.facts.state import listing
from deployer.agent.system import System, TooLong
from deployer.agent.talk import Talk
from deployer.agent.times import iso

FOLDER = wire.ROOT_CACHE + "/checked"
KEPT = 200  # answers
MOST = 64  # questions at once
TIMEOUT_S = 30.0
TICK_S = 1.0
#: `checker` → the script that an environment's Python runs.
CHECKERS = {"vllm": "vllm_check.py"}


def judge(system: System, request: Dict[str, Any], talk: Talk) -> None:
    """One after another, each said as soon as it is known: every one takes seconds, a processor, and memory."""
    end = system.clock() + min(120.0, float(request.get("timeout_s") or TIMEOUT_S))
    asked = list(request["questions"])
    for told in asked[:MOST]:
        key = str(told["key"])
        said: Dict[str, Any] = {} if noted(system, key) else _aside(system, told, end - system.clock(), talk)
        state = next((word for word in ("wrong", "unknown", "late") if word in said), "well")
        talk.say({"type": "judged", "key": key, "state": state, "said": str(said.get(state) or "")[:1000]})
    left = "it is one of %d more than the %d that are asked at once" % (len(asked) - MOST, MOST)
    for told in asked[MOST:]:
        talk.say({"type": "judged", "key": str(told["key"]), "state": "late", "said": left})


def ask(
    system: System, told: Dict[str, Any], home: str, tick: Callable[[], None], timeout: float, *, leaves: bool = True
) -> Dict[str, Any]:
    """{} when all is well, else {"wrong": …}, {"unknown": …} or, when it took too long, {"late": …}. `home`: a real path, for
    what the engine keeps. `leaves`: it may leave compiled modules behind.
    """
    script = CHECKERS.get(str(told.get("checker")))
    if script is None:
        return {"unknown": "there is no checker %r" % (told.get("checker"),)}
    env = dict(child_environment(system, told), HOME=home)
    env.update({str(name): str(value) for name, value in (told.get("environ") or {}).items()})
    if not leaves:
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # for the processes that it starts; itself heeds no such variable
    python = "%s/bin/python" % system.path(paths.plain(str(told["env"])))
    argv = [python, "-I", *([] if leaves else ["-B"]), child(script)]
    try:
        done = system.run(argv, input=str(told["text"]).encode(), timeout=timeout, env=env, tick=tick)
    except TooLong as error:
        return {"late": str(error)}
    except OSError as error:
        return {"unknown": str(error)}
    return _read(done.rc, done.out)


def noted(system: System, key: str) -> bool:
    """Whether an engine here took these options before."""
    return files.read_json(system, _path(key)) is not None


def note(system: System, key: str) -> None:
    files.make_directories(system, FOLDER)
    files.write_json(system, _path(key), {"at": iso(system.now())})
    known = ["%s/%s" % (FOLDER, name) for name in listing(system, FOLDER) if name.endswith(".json")]
    for path in sorted(known, key=lambda one: _when(system, one))[: max(0, len(known) - KEPT)]:
        files.remove(system, path)


def _when(system: System, path: str) -> float:
    """An answer that is gone by now is as old as can be."""
    try:
        return os.stat(system.path(path)).st_mtime
    except OSError:
        return 0.0


def _aside(system: System, told: Dict[str, Any], timeout: float, talk: Talk) -> Dict[str, Any]:
    """Asked in a folder that is gone afterwards, and not for longer than somebody waits for it."""
    said = system.clock()

    def tick() -> None:
        nonlocal said
        if system.clock() - said >= TICK_S:
            said = system.clock()
            talk.say({"type": "tick"})  # raises Hungup when nobody listens any more, which ends the program

    if timeout < 1.0:
        return {"late": "others were asked before it"}
    with tempfile.TemporaryDirectory(prefix="deployer-") as home:
        return ask(system, told, home, tick, timeout, leaves=False)


def _read(rc: int, out: bytes) -> Dict[str, Any]:
    if rc != 0:
        return {"unknown": "it ended with %d" % rc}
    lines: List[str] = [line for line in out.decode("utf-8", "replace").splitlines() if line.startswith("{")]
    if not lines:
        return {}
    try:
        found: Optional[Any] = json.loads(lines[-1])
    except ValueError:
        return {"unknown": "its answer cannot be read"}
    return found if isinstance(found, dict) else {}


def _path(key: str) -> str:
    if not re.match(r"[0-9a-f]{8,64}\Z", key):
        raise paths.Refusal("%r is not the key of a check" % key)
    return "%s/%s.json" % (FOLDER, key)
