"""What every command that changes something does with its plan: shows it, asks, runs it with a display of its progress, and
says at the end what came of it. attach uses the display and the end for what goes on already.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deployer.app import steptimes
from deployer.app.fleet import Fleet
from deployer.app.moments import seconds
from deployer.app.planned import Planned
from deployer.app.steptimes import Times
from deployer.cli import console
from deployer.cli.confirm import confirmed, prune_confirmed
from deployer.cli.fleet import open_fleet
from deployer.cli.outcome import render
from deployer.cli.plainprogress import PlainProgress
from deployer.cli.planning import show
from deployer.errors import DeployerError, HostLocked, Interrupted, Refused, Unreachable
from deployer.execute.events import Event, Report
from deployer.execute.follow import Control

Listener = Callable[[Event], None]


def plan_and_carry_out(
    args: argparse.Namespace,
    make: Callable[[Fleet], Planned],
    *,
    what: str,
    wait: bool = True,
    done: Callable[[Planned], None] | None = None,
) -> int:
    """Plan, show, ask, do, report; returns the exit code. `what`: the command. `wait`: not for a plan that was made before.
    `done` is called when it was done as planned.
    """
    with ends_with_report(args.json), open_fleet(args) as fleet:
        if wait:
            wait_for_others(fleet, args)
        planned = make(fleet)
        if not args.json:
            show(planned)
        return _carry_out(planned, args, what, done)


def _carry_out(planned: Planned, args: argparse.Namespace, what: str, done: Callable[[Planned], None] | None) -> int:
    """What a plan refuses is raised by apply itself."""
    plan, made = planned.plan, planned
    if plan.refusals:
        _refused(planned)
    if plan.changes and not confirmed(planned, yes=args.yes, what=what):
        console.say("nothing was changed")
        return 0
    if what not in ("prune", "destroy"):  # there it is what was asked for
        planned = prune_confirmed(planned, yes=args.yes)
    left = lock_wait(args)
    report = follow(
        lambda listen, control: planned.apply(why=args.why, on_event=listen, control=control, lock_wait_s=left),
        as_json=args.json,
        times=steptimes.expecting(steptimes.read(planned.fleet.root), planned.plan),
    )
    addresses = planned.addresses() if report.exit_code in (0, 6) else {}
    finish(planned.fleet, report, as_json=args.json, nothing=not plan.changes, addresses=addresses)
    if done is not None and report.exit_code == 0:
        done(made)
    return report.exit_code


def lock_wait(args: argparse.Namespace) -> float:
    """Seconds that are left of --lock-wait: waiting before the plan counts too."""
    if not args.lock_wait:
        return 0.0
    if not hasattr(args, "lock_until"):
        args.lock_until = time.monotonic() + seconds(args.lock_wait)
    return max(0.0, float(args.lock_until) - time.monotonic())


def wait_for_others(fleet: Fleet, args: argparse.Namespace) -> None:
    """With --lock-wait: a plan is made only once nobody applies on the hosts, since it would be stale when they end. Raises
    HostLocked when that takes too long.
    """
    left = lock_wait(args)
    if not left:
        return
    from deployer.execute.waiting import Queue, wait, words

    named = getattr(args, "host", None)
    hosts = named if named and isinstance(named, list) else sorted(fleet.spec.hosts)  # a word: where adopt's unit is, no filter
    control = Control()
    with _interrupts(control), _listener(args.json, {}) as listen:
        held = wait(Queue.of(left, control, listen), fleet.pool, hosts, fleet.spec)
    if control.presses:
        raise Interrupted("stopped waiting; nothing was changed")
    for host, lock in held.items():
        raise HostLocked(words(lock), where=host, hint=f"waited {args.lock_wait}: deployer attach follows it")


def _refused(planned: Planned) -> None:
    """Raises the first refusal. Where hosts did not answer it counts as that: worse than a refusal."""
    try:
        planned.apply()
    except Refused as error:
        if planned.plan.unreachable:
            raise Unreachable(error.what, where=error.where, hint=error.hint) from error
        raise


def follow(work: Callable[[Listener, Control], Report], *, as_json: bool, times: Times | None = None) -> Report:
    """`work` with a listener and a Ctrl-C that stops at a step boundary. `times`: how long steps took before."""
    control = Control()
    with _interrupts(control), _listener(as_json, times or {}) as listen:
        return work(listen, control)


def finish(
    fleet: Fleet, report: Report, *, as_json: bool, nothing: bool = False, addresses: Mapping[str, str] | None = None
) -> None:
    if as_json:
        console.line(report.json())
        return
    if nothing and report.exit_code == 0:
        return
    console.out(render(report, fleet, color=console.color(), unicode=console.unicode(), addresses=addresses))


@contextmanager
def ends_with_report(as_json: bool) -> Iterator[None]:
    """A stream for a program has a report as its last line also when nothing could be begun."""
    try:
        yield
    except DeployerError as error:
        if as_json:
            said = {"what": error.what, "where": error.where, "hint": error.hint}
            console.line({"type": "report", "exit_code": error.exit_code, "hosts": {}, "failures": [], "error": said})
        raise


@contextmanager
def _interrupts(control: Control) -> Iterator[None]:
    """The first Ctrl-C and a SIGTERM stop; a second one leaves the runs to the hosts."""

    def press(number: int, frame: Any) -> None:
        control.interrupt()

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _listener(as_json: bool, times: Times) -> Iterator[Listener]:
    if as_json:
        yield lambda event: console.line(event.json())
    elif sys.stderr.isatty() and console.unicode(sys.stderr):
        from deployer.cli.liveprogress import LiveProgress

        with LiveProgress(times) as live:
            yield live.take
    else:
        yield PlainProgress().take
