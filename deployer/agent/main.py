"""One verb: a request in, answers out. Started by the bootstrap with the verb in argv; by systemd for `work` and `recover`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Callable, Dict, List, Optional

from deployer.agent.paths import Refusal
from deployer.agent.system import Silent, System
from deployer.agent.talk import Hungup, Talk

Verb = Callable[[System, Dict[str, Any], Talk], None]


def _probe(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.packed import packed
    from deployer.agent.probe import probe

    found = probe(system, request)
    roster = None if found["roster"] is None else packed(found["roster"])
    talk.say(dict(found, roster=roster, type="probe"))


def _put(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.put import put

    put(system, request, talk)


def _give(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.give import give

    give(system, request, talk)


def _start(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.start import start

    start(system, request, talk)


def _attach(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.attach import attach

    attach(system, request, talk)


def _logs(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.logs import logs

    logs(system, request, talk)


def _watch(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.watch import watch

    watch(system, request, talk)


def _roster(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.roster import roster

    roster(system, request, talk)


def _unit(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.unitfile import unit

    unit(system, request, talk)


def _reach(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.reach import reach

    reach(system, request, talk)


def _judge(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent.judge import judge

    judge(system, request, talk)


def _runs(system: System, request: Dict[str, Any], talk: Talk) -> None:
    from deployer.agent import runs

    talk.say({"type": "runs", "runs": runs.listing(system, request["fleet"]["id"])})


#: Modules are imported by the verb that needs them: a probe must be quick.
VERBS: Dict[str, Verb] = {
    "probe": _probe,
    "put": _put,
    "give": _give,
    "start": _start,
    "attach": _attach,
    "logs": _logs,
    "watch": _watch,
    "roster": _roster,
    "runs": _runs,
    "unit": _unit,
    "reach": _reach,
    "judge": _judge,
}


def serve(system: System, verb: str, talk: Talk) -> int:
    """Answers one verb; the last line has type "end" or "error". Returns the exit status."""
    try:
        if verb not in VERBS:
            raise Refusal("this agent knows no verb %r" % verb)
        VERBS[verb](system, talk.request(), talk)
        talk.say({"type": "end"})
        return 0
    except Hungup:
        return 0
    except Refusal as error:
        return _fail(talk, str(error))
    except Silent as error:
        return _fail(talk, str(error), error.hint)
    except KeyError as error:
        return _fail(talk, "the request lacks %s" % error)
    except OSError as error:
        return _fail(talk, "%s: %s" % (error.filename or verb, error.strerror or error))
    except Exception as error:  # noqa: BLE001  (whatever it is, the controller must hear of it and not of silence)
        return _fail(talk, "the agent failed: %s in %s" % (type(error).__name__, _place(error)))


def _place(error: Exception) -> str:
    """Where, without values: they may hold a secret."""
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "%s:%s" % (frame.filename.rpartition("/")[2], frame.lineno)


def _fail(talk: Talk, message: str, hint: Optional[str] = None) -> int:
    with contextlib.suppress(Hungup):
        talk.say(dict({"type": "error", "message": message}, **({"hint": hint} if hint else {})))
    return 1


def main() -> int:
    arguments: List[str] = sys.argv[1:]
    system = System()
    if arguments[:1] == ["work"] and len(arguments) == 2:
        from deployer.agent.work import work_as_service

        return work_as_service(system, arguments[1])
    if arguments[:1] == ["recover"] and len(arguments) == 2:
        from deployer.agent.recover import recover_as_service

        return recover_as_service(system, arguments[1])
    code = serve(system, arguments[0] if arguments else "", Talk(sys.stdin.buffer, sys.stdout.buffer))
    # every line was flushed; a thread that still reads standard input would make the interpreter's own end an abort
    os._exit(code)
