"""What a step is told and what it may use. Made by the runner for each step; steps know nothing of the run around them."""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, Dict, Optional, Sequence

from deployer.agent import paths, wire
from deployer.agent.plain import plain
from deployer.agent.system import Done, System, TooLong

LOG_LINES = 40
DEFAULT_TIMEOUT_S = 3600.0


class StepFailed(Exception):
    """A step could not be done. `cause` and `hint` are for people, `log` the last lines of what failed. All of it may be what
    somebody else said, and is made plain here.
    """

    def __init__(self, message: str, *, cause: Optional[str] = None, hint: Optional[str] = None, log: Sequence[str] = ()) -> None:
        self.message = plain(message)
        super().__init__(self.message)
        self.cause = None if cause is None else plain(cause)
        self.hint = None if hint is None else plain(hint)
        self.log = [plain(line) for line in list(log)[-LOG_LINES:]]


class Stopped(Exception):
    """Somebody asked the run to stop, and this step is one that may be left in its middle."""


class Shared:
    """What all steps of a run have in common."""

    def __init__(self, system: System, request: Dict[str, Any], secrets: Dict[str, str]) -> None:
        self.system = system
        self.request = request
        self.run = str(request["run"])
        self.fleet: wire.Fleet = paths.check_fleet(request["fleet"])
        self.secrets = secrets
        self.barrier: Dict[str, Any] = {}  # what the barriers brought so far
        self.stopping: Callable[[], bool] = lambda: False
        self.starts: Dict[str, Dict[str, Dict[str, Any]]] = {}  # deployment → change → moments, see starts.py
        self.units_changed = False  # unit files were put back and systemd has not been told
        self.remove_agent = False


class Context:
    """One step's view. Times are seconds of the system's clock."""

    def __init__(
        self, shared: Shared, transaction: Dict[str, Any], step: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]
    ) -> None:
        self.shared = shared
        self.system = shared.system
        self.fleet = shared.fleet
        self.transaction = transaction
        self.step = step
        self.args: Dict[str, Any] = step.get("args") or {}
        self.undoing = False
        self._tell = tell
        self._told = -1e9
        self._phase: Optional[str] = None
        self._deadline = self.system.clock() + float(step.get("timeout_s") or DEFAULT_TIMEOUT_S)

    def path(self, key: str = "path") -> str:
        """An argument that is an absolute path. Raises StepFailed."""
        try:
            return paths.plain(str(self.args[key]))
        except paths.Refusal as error:
            raise StepFailed(str(error)) from None

    def secret(self, reference: str) -> Optional[str]:
        return self.shared.secrets.get(reference)

    def remaining(self) -> float:
        return self._deadline - self.system.clock()

    def check(self) -> None:
        """Raises Stopped or, when the step's time is over, StepFailed. For waits and long work; never while undoing."""
        if not self.undoing and self.shared.stopping():
            raise Stopped
        if self.remaining() <= 0:
            raise StepFailed("it took longer than %.0f s" % float(self.step.get("timeout_s") or DEFAULT_TIMEOUT_S))

    def progress(self, **data: Any) -> None:
        """At most two a second, but every new phase at once."""
        now = self.system.clock()
        if now - self._told < 0.5 and data.get("phase") == self._phase:
            return
        self._told, self._phase = now, data.get("phase")
        self._tell(data)

    def warn(self, text: str) -> None:
        """What a person must hear of, though the step goes on: it stands in the report of the apply."""
        self._tell({"phase": text, "warn": text})

    def run(
        self,
        argv: Sequence[str],
        what: str,
        *,
        env: Optional[Dict[str, str]] = None,
        input: Optional[bytes] = None,
        tick: Optional[Callable[[], None]] = None,
        timeout: Optional[float] = None,
        whole: bool = False,
    ) -> Done:
        """A program that must end with 0; `what` begins the message when it does not. A stop ends it, unless it must not
        be left in its middle (`whole`).
        """

        def each() -> None:
            if not whole and not self.undoing and self.shared.stopping():
                raise Stopped
            if tick is not None:
                tick()

        limit = max(1.0, self.remaining()) if timeout is None else timeout
        try:
            done = self.system.run(argv, input=input, timeout=limit, env=env, tick=each)
        except TooLong as error:
            raise StepFailed("%s: %s" % (what, error), log=error.log) from None
        except OSError as error:
            raise StepFailed("%s: %s cannot be run: %s" % (what, argv[0], error.strerror or error)) from None
        if done.rc != 0:
            raise StepFailed("%s: %s" % (what, last_words(done)), log=done.lines)
        return done

    def environment(self) -> Dict[str, str]:
        """For programs that we start: little, and what the host says of proxies and certificates."""
        return child_environment(self.system, self.args)


def last_words(done: Done) -> str:
    lines = [line.strip() for line in done.lines]
    said = [line for line in lines if line.lower().startswith(("error:", "e: ", "fatal:"))] or lines[-1:]
    return "".join(said[:1])[:500] or ("ended by signal %d" % -done.rc if done.rc < 0 else "exit status %d" % done.rc)


def os_failure(system: System, error: OSError) -> StepFailed:
    """What a person is told when a file could not be written."""
    path = str(error.filename or "")
    path = path[len(system.root) :] if system.root and path.startswith(system.root) else path
    if error.errno == errno.ENOSPC:
        total, free = system.disk(path or "/")
        where = " (%s)" % path if path else ""
        hint = "free some space on that disk, or set paths: {models: …} in the host's file; hosts probe shows the disks"
        return StepFailed(
            "the disk is full%s: %d MiB of %d MiB free" % (where, free >> 20, total >> 20), cause="disk full", hint=hint
        )
    return StepFailed("%s: %s" % (path or "a file", error.strerror or error))


#: Settings of a host that its administrator made for all programs.
INHERITED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def child_environment(system: System, args: Dict[str, Any]) -> Dict[str, str]:
    """PATH, HOME, and proxy, certificate and UV_ settings: from /etc/environment, then ours, then the arguments."""
    found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    found["HOME"] = system.path(wire.ROOT_CACHE)
    if os.path.exists(system.path(BUNDLE)):
        found["SSL_CERT_FILE"] = system.path(BUNDLE)  # uv and httpx carry their own; the host's may know more
    for source in (_etc_environment(system), system.environ()):
        found.update({k: v for k, v in source.items() if k.upper() in INHERITED or k.startswith("UV_")})
    if args.get("proxy"):
        found.update({key: str(args["proxy"]) for key in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")})
    if args.get("ca"):
        found.update({key: system.path(str(args["ca"])) for key in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")})
    return found


def _etc_environment(system: System) -> Dict[str, str]:
    try:
        with open(system.path("/etc/environment"), encoding="utf-8", errors="replace") as file:
            pairs = [line.strip().partition("=") for line in file if "=" in line and not line.lstrip().startswith("#")]
    except OSError:
        return {}
    return {key.replace("export ", "").strip(): value.strip().strip("\"'") for key, _, value in pairs}
