"""`gateway.drained`, `unit.steady` and `canary.watch`: nothing is stopped under a request, nothing old goes before the new one
has held, and a canary is measured against what it stands beside.
"""

from __future__ import annotations

import csv
from typing import Callable, Dict, List, Optional, Set

from deployer.agent import canary, paths, systemctl
from deployer.agent.context import Context, StepFailed
from deployer.agent.steps import units
from deployer.agent.steps.base import Before, Step

POLL_S = 0.2
QUIET_S = 0.6  # so long nothing may run before a server counts as left
DRAIN_S = 300.0
REFUSED_S = 5.0  # so long a master's socket may refuse and count as being there
MISSED = 3  # looks in a row that may go wrong before a replica does not count as steady


def sessions(ctx: Context, gateway: str, ports: Set[str]) -> Optional[int]:
    """Requests that run on or wait for the engines at these addresses, in every worker of HAProxy: those of before a reload
    still serve what they have begun. None: nobody can tell, so there may be some.
    """
    told = stats(ctx, gateway)
    return None if told is None else sum(_on(text, ports) for text in told.values())


def stats(ctx: Context, gateway: str) -> Optional[Dict[str, str]]:
    """`show stat` of every worker of the HAProxy that is this unit; empty when it does not run and so sends nothing. None: it may
    run, and does not say.
    """
    try:
        return tables(ctx, "/run/%s/master.sock" % gateway.rpartition(".")[0])
    except Silent:
        return None
    except OSError:
        return None if _may_run(ctx, gateway) else {}


def tables(ctx: Context, socket: str) -> Dict[str, str]:
    """`show stat` by worker. Raises OSError and Silent."""
    return {pid: _told(ctx, socket, "@!%s show stat" % pid) for pid in _workers(_told(ctx, socket, "show proc"))}


class Silent(Exception):
    """An answer came that is none: the master starts itself anew, or the worker has ended meanwhile."""


def _told(ctx: Context, socket: str, line: str) -> str:
    """What the master says. While it starts itself anew, after a start and at each reload, its socket is there and refuses: that
    is not a HAProxy without requests. Raises as `tables`.
    """
    end = ctx.system.clock() + REFUSED_S
    while True:
        try:
            text = ctx.system.ask_socket(socket, line).decode("utf-8", "replace")
        except ConnectionRefusedError:
            if ctx.system.clock() >= end:
                raise
        else:
            if not text.startswith("#"):  # both answers begin with the names of their columns
                raise Silent
            return text
        ctx.system.sleep(POLL_S / 4)


def _may_run(ctx: Context, unit: str) -> bool:
    """Only what systemd says to be down is down."""
    return systemctl.show_one(ctx.system, unit).get("ActiveState") not in ("inactive", "failed")


def _workers(text: str) -> List[str]:
    """Process numbers of all workers, old ones too, from the master's `show proc`."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [row[0] for row in rows if len(row) > 1 and row[1] == "worker" and row[0].isdigit()]


def _on(text: str, ports: Set[str]) -> int:
    """Of one worker."""
    rows = csv.DictReader(text.lstrip("# ").splitlines())
    mine = [row for row in rows if (row.get("addr") or "") in ports]
    return sum(_number(row.get("scur")) + _number(row.get("qcur")) for row in mine)


def _number(text: Optional[str]) -> int:
    return int(text) if text and text.isdigit() else 0


class Drained(Step):
    """Waits until the gateway has no request left on the engines on these `ports`, at most `deadline_s`: what runs longer is
    cut, and a person is told. A gateway that does not say what it has may have some. `quiet_s`: how long nothing may come. With
    `undo` it does nothing, and waits when it is undone.
    """

    after_files = True

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        return None if ctx.args.get("undo") else self._wait(ctx)

    def undo(self, ctx: Context, before: Before) -> None:
        if ctx.args.get("undo"):
            self._wait(ctx)

    def _wait(self, ctx: Context) -> Optional[str]:
        gateway, ports = units.own(ctx), {"127.0.0.1:%d" % int(port) for port in ctx.args["ports"]}
        quiet, patience = float(ctx.args.get("quiet_s") or QUIET_S), float(ctx.args.get("deadline_s") or DRAIN_S)
        began, since = ctx.system.clock(), float("inf")
        while True:
            ctx.check()
            left, now = sessions(ctx, gateway, ports), ctx.system.clock()
            since = min(since, now) if left == 0 else float("inf")
            if now >= since + quiet:
                return None
            if now > began + patience:
                word = _late(left, now - began)
                ctx.warn(word)
                return word
            ctx.progress(phase=_waiting_for(left))
            ctx.system.sleep(POLL_S)


def _late(left: Optional[int], seconds: float) -> str:
    if left is None:
        return "after %.0f s the gateway could still not be asked whether requests run there: some may have been cut" % seconds
    return "%d request%s still ran after %.0f s and may have been cut" % (left, "s" * (left != 1), seconds)


def _waiting_for(left: Optional[int]) -> str:
    if left is None:
        return "waiting for the gateway to say which requests run"
    return "waiting for %d requests to end" % left if left else "waiting for silence"


class Steady(Step):
    """The new one holds for `seconds` with requests on it: up, not started again, and its ready path answers."""

    turn_s = 0.5

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        return self._hold(ctx, lambda: None)

    def _hold(self, ctx: Context, look: Callable[[], None]) -> str:
        """`look`: what else is to be seen at each turn; raises StepFailed."""
        unit, seconds = units.own(ctx), float(ctx.args["seconds"])
        began, first = ctx.system.clock(), units.state(ctx, unit)
        missed: List[str] = []
        while ctx.system.clock() < began + seconds:
            ctx.check()
            found = systemctl.show_one(ctx.system, unit)
            if found and (not systemctl.is_up(found) or found.get("NRestarts") != first.get("NRestarts")):
                raise StepFailed("%s ended %.0f s after it had answered" % (unit, ctx.system.clock() - began))
            why = self._asked(ctx)  # as long as systemd does not say that it ended, its own answers count
            missed = [*missed, why] if why else []
            if len(missed) >= MISSED:
                raise StepFailed("%s answered and does not any more: %s" % (unit, why))
            look()
            ctx.progress(phase="watching it", done=round(ctx.system.clock() - began), total=round(seconds), unit="s")
            ctx.system.sleep(self.turn_s)
        return "held for %.0f s" % seconds

    def _asked(self, ctx: Context) -> Optional[str]:
        """Why its ready path does not answer."""
        url = "http://127.0.0.1:%d%s" % (int(ctx.args["port"]), ctx.args.get("ready_path") or "/health")
        try:
            status, _body = ctx.system.http("GET", url, timeout=5)
        except OSError as error:
            return "no answer on port %s: %s" % (ctx.args["port"], error.strerror or error)
        return None if status == 200 else "%s answers %d" % (ctx.args.get("ready_path"), status)


class Watch(Steady):
    """The same of a canary, of which the `gateway` counts what it does with its requests: clearly worse than those on the ports
    `against`, by `rules` (agent/canary.py), and it fails. Errors end it at once, answer times count at the end. The verdict
    travels with the progress.
    """

    turn_s = 1.0  # it may take long

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        tally = canary.Tally(int(ctx.args["port"]), [int(port) for port in ctx.args["against"]])
        self._look(ctx, tally)
        self._hold(ctx, lambda: self._errors(ctx, tally))
        verdict, why = canary.judge(*tally.both, ctx.args["rules"]) if self._last_look(ctx, tally) else canary.UNTOLD
        self._fail_if(verdict, why)
        ctx.progress(phase="judged: %s" % verdict, verdict=verdict)
        return why

    def _errors(self, ctx: Context, tally: canary.Tally) -> None:
        if self._look(ctx, tally):
            self._fail_if(*canary.judge(*tally.both, ctx.args["rules"], slow=False))

    def _fail_if(self, verdict: str, why: str) -> None:
        if verdict == canary.WORSE:
            raise StepFailed("the canary is clearly worse: %s" % why, cause=why)

    def _look(self, ctx: Context, tally: canary.Tally) -> bool:
        """Whether the gateway said what it counts. From the first time on that it does, it counts."""
        try:
            gateway = paths.own_unit(ctx.fleet, str(ctx.args["gateway"]))
        except paths.Refusal as error:
            raise StepFailed(str(error)) from None
        told = stats(ctx, gateway)
        if told is not None:
            tally.take(told)
        return told is not None

    def _last_look(self, ctx: Context, tally: canary.Tally) -> bool:
        """What the old ones go for must be known to the end."""
        for _ in range(MISSED):
            if self._look(ctx, tally):
                return True
            ctx.system.sleep(self.turn_s)
        return False
