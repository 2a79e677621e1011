"""Tells commands and webhooks what came of an apply. Called at the end of an apply or attach. It takes a few seconds at most,
and its own failure is said and changes nothing.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deployer.app.outcome_body import Asked, body
from deployer.app.worlds import now
from deployer.errors import DeployerError
from deployer.execute.events import Report
from deployer.plan.model import Plan
from deployer.spec.models import Notification

if TYPE_CHECKING:
    from deployer.app.fleet import Fleet

#: For all of them together, in seconds.
DEADLINE_S = 5.0

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class NotTold(Exception):
    """Why somebody was not told; holds no secret and no address that may be one."""


def notify(fleet: "Fleet", report: Report, plan: Plan | None, asked: Asked) -> Report:
    """The report, with a note for everybody who could not be told. An apply that had nothing to do is not worth a word."""
    if plan is not None and not plan.changes:
        return report
    work = list(_wanted(fleet, report, plan, asked))
    if not work:
        return report
    end = time.monotonic() + DEADLINE_S
    said: dict[int, str | None] = {}

    def tell(number: int) -> None:
        one, content = work[number]
        try:
            _tell(fleet, one, json.dumps(content, ensure_ascii=False).encode(), end)
            said[number] = None
        except NotTold as error:
            said[number] = str(error)
        except DeployerError as error:  # a secret that cannot be read
            said[number] = error.what
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not end an apply, and its text may hold anything)
            said[number] = type(error).__name__

    threads = [threading.Thread(target=tell, args=(n,), name=f"notify-{n}", daemon=True) for n in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()) + 0.2)
    late = f"no answer after {DEADLINE_S:g} s"
    missed = [(one, said.get(number, late)) for number, (one, _) in enumerate(work)]
    notes = tuple(f"notify: {_named(one)} was not told: {why}" for one, why in missed if why is not None)
    return replace(report, notes=(*report.notes, *notes))


def _wanted(fleet: "Fleet", report: Report, plan: Plan | None, asked: Asked) -> Iterator[tuple[Notification, Mapping[str, Any]]]:
    at = now()
    whole = body(fleet.spec, report, plan, asked, at)
    yield from ((one, whole) for one in fleet.spec.notify if whole["event"] in one.events)
    for found in whole["deployments"]:
        spec = fleet.spec.deployments.get(found["name"])
        for one in spec.notify if spec else ():
            if found["event"] in one.events:
                yield one, body(fleet.spec, report, plan, asked, at, found["name"])


def _named(one: Notification) -> str:
    if one.command is not None:
        return f"the command {one.command[0]}"
    if one.webhook is not None:
        return f"the webhook at {urlsplit(one.webhook).hostname}"
    return f"the webhook of {one.webhook_from.id if one.webhook_from else 'nobody'}"


def _tell(fleet: "Fleet", one: Notification, content: bytes, end: float) -> None:
    if one.command is not None:
        _run(fleet.root, one.command, content, end)
        return
    url = one.webhook or (_secret(fleet, one.webhook_from.id) if one.webhook_from else "")
    headers = {name: _secret(fleet, ref.id) for name, ref in one.headers.items()}
    _post(url, headers, content, end)


def _secret(fleet: "Fleet", secret_id: str) -> str:
    value = fleet.secrets.reveal(secret_id)
    if value is None:
        raise NotTold(f"the secret {secret_id} is not at hand")
    return value


def _run(root: Path, argv: tuple[str, ...], content: bytes, end: float) -> None:
    """Without a shell, in the fleet's folder; the body comes on standard input, and what it prints is seen by nobody."""
    try:
        process = subprocess.Popen(
            argv, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise NotTold(f"it cannot be run: {getattr(error, 'strerror', None) or 'bad argument'}") from None
    try:
        process.communicate(content, timeout=max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise NotTold(f"it did not end within {DEADLINE_S:g} s") from None
    if process.returncode:
        raise NotTold(f"it ended with exit code {process.returncode}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent with a secret goes where it was sent, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, headers: Mapping[str, str], content: bytes, end: float) -> None:
    """Certificates are verified. A redirect is not followed."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotTold("its address is none")
    local = parts.hostname in _LOOPBACK
    if headers and parts.scheme == "http" and not local:
        raise NotTold("a secret header is sent over https only")
    given = {"Content-Type": "application/json", "User-Agent": "deployer", **headers}
    if any(not value.isprintable() or not value.isascii() for value in given.values()):
        raise NotTold("a header's secret holds what no header can carry")
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if local:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, content, given, method="POST")
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=max(0.1, end - time.monotonic())):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise NotTold(f"it answered {error.code}") from None
    except urllib.error.URLError as error:
        raise NotTold(str(error.reason)) from None
    except TimeoutError:
        raise NotTold(f"no answer after {DEADLINE_S:g} s") from None
