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


def sessions(ctx: Context, socket: str, ports: Set[str]) -> int:
    """Requests that run on or wait for the engines at these addresses, in every worker of HAProxy: those of before a reload
    still serve what they have begun. A HAProxy that is not there sends nothing.
    """
    try:
        workers = _workers(_told(ctx, socket, "show proc"))
        return sum(_of_worker(ctx, socket, pid, ports) for pid in workers)
    except OSError:
        return 0


def stats(ctx: Context, socket: str) -> Dict[str, str]:
    """`show stat` of every worker of HAProxy; empty when it is not there."""
    try:
        workers = _workers(_told(ctx, socket, "show proc"))
    except OSError:
        return {}
    return {pid: _stat(ctx, socket, pid) for pid in workers}


def _told(ctx: Context, socket: str, line: str) -> str:
    """What the master says. While it starts itself anew, after a start and at each reload, its socket is there and refuses: that
    is not a HAProxy without requests.
    """
    end = ctx.system.clock() + REFUSED_S
    while True:
        try:
            return ctx.system.ask_socket(socket, line).decode("utf-8", "replace")
        except ConnectionRefusedError:
            if ctx.system.clock() >= end:
                raise
        ctx.system.sleep(POLL_S / 4)


def _workers(text: str) -> List[str]:
    """Process numbers of all workers, old ones too, from the master's `show proc`."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [row[0] for row in rows if len(row) > 1 and row[1] == "worker" and row[0].isdigit()]


def _stat(ctx: Context, socket: str, pid: str) -> str:
    try:
        return _told(ctx, socket, "@!%s show stat" % pid)
    except OSError:
        return ""  # it ended meanwhile


def _of_worker(ctx: Context, socket: str, pid: str, ports: Set[str]) -> int:
    text = _stat(ctx, socket, pid)
    rows = csv.DictReader(text.lstrip("# ").splitlines())
    mine = [row for row in rows if (row.get("addr") or "") in ports]
    return sum(_number(row.get("scur")) + _number(row.get("qcur")) for row in mine)


def _number(text: Optional[str]) -> int:
    return int(text) if text and text.isdigit() else 0


class Drained(Step):
    """Waits until the gateway has no request left on the engines on these `ports`, at most `deadline_s`: what runs longer is
    cut, and that is said. `quiet_s`: how long nothing may come. With `undo` it does nothing, and waits when it is undone.
    """

    after_files = True

    def do(self, ctx: Context, before: Before) -> Optional[str]:
        return None if ctx.args.get("undo") else self._wait(ctx)

    def undo(self, ctx: Context, before: Before) -> None:
        if ctx.args.get("undo"):
            self._wait(ctx)

    def _wait(self, ctx: Context) -> Optional[str]:
        socket = "/run/%s/master.sock" % units.own(ctx).rpartition(".")[0]
        ports = {"127.0.0.1:%d" % int(port) for port in ctx.args["ports"]}
        quiet = float(ctx.args.get("quiet_s") or QUIET_S)
        now = ctx.system.clock()
        end, since = now + float(ctx.args.get("deadline_s") or DRAIN_S), now
        while True:
            ctx.check()
            left, now = sessions(ctx, socket, ports), ctx.system.clock()
            if left:
                since = now
            elif now >= since + quiet:
                return None
            if now > end:
                return "%d requests still ran after %.0f s" % (left, now - end + float(ctx.args.get("deadline_s") or DRAIN_S))
            ctx.progress(phase="waiting for %d requests to end" % left if left else "waiting for silence")
            ctx.system.sleep(POLL_S)


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
            found = units.state(ctx, unit)
            if not systemctl.is_up(found) or found.get("NRestarts") != first.get("NRestarts"):
                raise StepFailed("%s ended %.0f s after it had answered" % (unit, ctx.system.clock() - began))
            why = self._asked(ctx)
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
        tally.take(self._stats(ctx), begin=True)
        self._hold(ctx, lambda: self._errors(ctx, tally))
        tally.take(self._stats(ctx))
        verdict, why = canary.judge(*tally.both, ctx.args["rules"])
        self._fail_if(verdict, why)
        ctx.progress(phase="judged: %s" % verdict, verdict=verdict)
        return why

    def _errors(self, ctx: Context, tally: canary.Tally) -> None:
        tally.take(self._stats(ctx))
        self._fail_if(*canary.judge(*tally.both, ctx.args["rules"], slow=False))

    def _fail_if(self, verdict: str, why: str) -> None:
        if verdict == canary.WORSE:
            raise StepFailed("the canary is clearly worse: %s" % why, cause=why)

    def _stats(self, ctx: Context) -> Dict[str, str]:
        """What cannot be asked now is asked again."""
        try:
            gateway = paths.own_unit(ctx.fleet, str(ctx.args["gateway"]))
        except paths.Refusal as error:
            raise StepFailed(str(error)) from None
        return stats(ctx, "/run/%s/master.sock" % gateway.rpartition(".")[0])
