"""`reach`: which addresses answer from this host, by its own proxy and certificates. Asked side by side, for a bounded time."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from http.client import HTTPException
from typing import Any, Deque, Dict, List, Tuple

from deployer.agent import outside
from deployer.agent.context import child_environment
from deployer.agent.system import System
from deployer.agent.talk import Talk

TIMEOUT_S = 8.0
AT_ONCE = 32  # addresses
NO_HEAD = (405, 501)  # it answers, and only does not know this way of asking


def reach(system: System, request: Dict[str, Any], talk: Talk) -> None:
    ways: List[Dict[str, Any]] = list(request["ways"])
    timeout = min(60.0, float(request.get("timeout_s") or TIMEOUT_S))
    env = child_environment(system, request)
    answers = [_answer(way, "timeout", None, 0.0, "there was no time left to ask it") for way in ways]
    waiting: Deque[int] = deque(range(len(ways)))
    end = system.clock() + timeout + 2.0  # a name's look-up has its own time

    def ask() -> None:
        while waiting and system.clock() < end:
            try:
                number = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            answers[number] = _answer(ways[number], "timeout", None, 0.0, "no answer after %g s" % timeout)
            answers[number] = _ask(system, ways[number], env, timeout)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(min(AT_ONCE, len(ways)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - system.clock()))
    talk.say({"type": "reach", "ways": list(answers)})


def _ask(system: System, way: Dict[str, Any], env: Dict[str, str], timeout: float) -> Dict[str, Any]:
    headers = {"User-Agent": "deployer"}
    if way.get("token"):
        headers["Authorization"] = "Bearer %s" % way["token"]
    url = str(way.get("url") or env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL") or "")
    if not url:
        return _answer(way, "unasked", None, 0.0, "uv's own index")
    if url.startswith("file:"):
        return _answer(way, "unasked", None, 0.0, "a folder of this host")
    if outside.proxy(url, env).startswith("socks"):
        return _answer(way, "socks", None, 0.0, "it is reached through a SOCKS proxy, which the agent does not speak to")
    began = system.clock()
    try:
        status = system.head(url, headers, env, timeout)
    except (OSError, ValueError, HTTPException) as error:
        state, message = _explained(error)
        return _answer(way, state, None, system.clock() - began, message)
    well = status < 400 or status in NO_HEAD
    return _answer(way, "ok" if well else "refused", status, system.clock() - began, "" if well else "it answers %d" % status)


def _answer(way: Dict[str, Any], state: str, status: Any, seconds: float, message: str) -> Dict[str, Any]:
    return {"id": way["id"], "state": state, "status": status, "ms": int(seconds * 1000), "message": message}


def _explained(error: Exception) -> Tuple[str, str]:
    """The kind of failure and its words. No address is in them, so no password either."""
    if isinstance(error, HTTPException) and not isinstance(error, OSError):  # one that hangs up is both
        return "connect", "what answers there does not speak HTTP"
    cause = getattr(error, "reason", error)
    cause = cause if isinstance(cause, Exception) else OSError(str(cause))
    if isinstance(cause, socket.gaierror):
        return "name", "its name is not known here (%s)" % (cause.strerror or "DNS")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "tls", "its certificate is not trusted here: %s" % cause.verify_message
    if isinstance(cause, FileNotFoundError):
        return "tls", "the file of certificates that is named for it is not there"
    if isinstance(cause, ssl.SSLError):
        return "tls", "TLS fails: %s" % (cause.reason or "error")
    if isinstance(cause, (TimeoutError, socket.timeout)):
        return "timeout", "it does not answer in time"
    if "Tunnel connection failed" in str(cause):
        return "proxy", "the proxy refuses: %s" % str(cause).partition("failed: ")[2]
    if isinstance(cause, ConnectionError):
        return "connect", cause.strerror or type(cause).__name__
    return "connect", (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__
