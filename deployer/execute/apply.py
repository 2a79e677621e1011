"""Does a plan: one run per host, barriers between them, and a report. Called by app; everything it needs is in the plan.

lock       every host takes its lock and reads its fingerprint again; one that is locked releases all (7, or waits as
           long as the order says and tries again), one that moved is left out with what depends on it (8)
conduct    barriers open when all hosts stand at them; bytes are pushed; broken connections find their way back
roster     who is in the fleet and which slots are where, to every host that was reached
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from deployer.errors import DeployerError, Refused, StalePlan
from deployer.execute.events import Event, Report
from deployer.execute.feeding import feed
from deployer.execute.follow import Control, Follower
from deployer.execute.hostrun import Patience
from deployer.execute.pool import Pool
from deployer.execute.probe import probe_request
from deployer.execute.push import BlobSource
from deployer.execute.reporting import make_report
from deployer.execute.rosters import leave_roster
from deployer.execute.waiting import Queue, wait
from deployer.plan import steps, subset
from deployer.plan.model import Change, Plan
from deployer.spec.models import FleetSpec
from deployer.state.resources import Kind


class Secrets(Protocol):
    """Values of the secrets at hand."""

    def reveal(self, secret_id: str) -> str | None:
        """None when it is not at hand; DeployerError when it cannot be read."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who applies what, where the bytes and the secrets come from, and who listens."""

    plan: Plan
    fleet: FleetSpec
    run: str
    who: str
    why: str | None
    secrets: Secrets
    blobs: BlobSource
    on_event: Callable[[Event], None]
    control: Control = field(default_factory=Control)
    patience: Patience = Patience()
    lock_wait_s: float = 0.0


def apply(order: Order, pool: Pool) -> Report:
    """Raises Refused (a guard's no, a secret or a file that is not at hand) before any host is asked to change; what
    happens later is in the report.
    """
    if order.plan.refusals:
        first = order.plan.refusals[0]
        more = f" (and {len(order.plan.refusals) - 1} more)" if len(order.plan.refusals) > 1 else ""
        raise Refused(f"{first.what}{more}", where=first.deployment or first.host, hint=first.hint)
    return _Apply(order, pool).run()


class _Apply:
    def __init__(self, order: Order, pool: Pool) -> None:
        self.order = order
        self.pool = pool
        self.plan = order.plan
        self.began = time.monotonic()
        self.follower = Follower(pool, order.on_event, order.control, order.patience)
        self.results: dict[str, tuple[str, str | None]] = {}  # host → result and message, where the run does not say it
        self.pushed: set[str] = set()
        self.requests: dict[str, dict[str, Any]] = {}
        self.queue = Queue.of(order.lock_wait_s, order.control, order.on_event)
        self.attempts = 1

    def run(self) -> Report:
        for name in self.plan.unreachable:
            self.results[name] = ("unreachable", self.plan.hosts[name].error)
        self._ready_to_begin()
        if self._take_locks_in_turn():
            self._roster(self.plan.roster)
            self._conduct()
            self._roster_as_it_came()
        return make_report(self.order.run, self.order.plan, self.follower, self.requests, self.results, self.began)

    # before anything is touched

    def _ready_to_begin(self) -> None:
        for host in self._hosts():
            for blob in steps.blobs_needed(self.plan, host):
                self.order.blobs.check(blob)
            self._secrets(host)

    def _secrets(self, host: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for secret_id in sorted(steps.secrets_needed(self.plan, host)):
            value = self.order.secrets.reveal(secret_id)
            if value is None:
                raise Refused(
                    f"the secret {secret_id} is not at hand, and this plan needs it on {host}",
                    where=host,
                    hint="set it where you run deployer, or leave out what needs it: deployer plan NAME…",
                )
            found[secret_id] = value
        return found

    def _hosts(self) -> list[str]:
        return sorted({c.host for c in self.plan.changes if self.plan.hosts[c.host].reachable})

    # locks

    def _take_locks_in_turn(self) -> bool:
        """As `_take_locks`; when somebody else has one, again once it is free, as long as the order lets us wait."""
        while not self._take_locks():
            held = [h for h, line in self.follower.conductor.refused.items() if line.get("reason") == "lock"]
            if not held or self.queue.over or wait(self.queue, self.pool, held, self.order.fleet):
                return False
            for host in self._hosts():
                self.results.pop(host, None)
        return True

    def _take_locks(self) -> bool:
        """All locks, the first host's before the others', so that of two applies one wins. False: nothing may be done."""
        hosts = self._hosts()
        run = self._run_name()
        for group in (hosts[:1], hosts[1:]):
            self._start(group, run)
            self.follower.until(lambda: not self.follower.conductor.undecided)
            if self._locked_out():
                return False
        for _ in range(len(hosts) + 1):
            if not self._leave_out_refused():
                return not self._locked_out()
        return False

    def _run_name(self) -> str:
        """Every attempt is a run of its own on a host; the first has the apply's own name."""
        number, self.attempts = self.attempts, self.attempts + 1
        return self.order.run if number == 1 else f"{self.order.run}-{number}"

    def _start(self, hosts: Iterable[str], run: str) -> None:
        fleet = {"id": self.plan.fleet_id, "name": self.plan.fleet_name}
        for host in hosts:
            request = cast(
                "dict[str, Any]",
                steps.run_request(
                    self.plan,
                    host,
                    run=run,
                    who=self.order.who,
                    why=self.order.why,
                    probe=probe_request(self.pool.hosts[host], self.order.fleet),
                    fleet={"id": fleet["id"], "name": fleet["name"]},
                    silence_s=self.order.patience.silence_s,
                ),
            )
            self.requests[host] = {"transactions": request["transactions"]}
            self.follower.begin(host, "start", {**request, "secrets": self._secrets(host)})

    def _locked_out(self) -> bool:
        """Somebody else holds a lock, or a person said stop: every host lets go of what it holds."""
        refused = self.follower.conductor.refused
        holders = [host for host, line in refused.items() if line.get("reason") == "lock"]
        if not holders and not self.order.control.presses:
            return False
        active = self.follower.conductor.active
        self.follower.stop(active)
        self.follower.until(lambda: not self.follower.conductor.active)
        for host in self._hosts():
            if host not in holders and holders:
                self.results[host] = ("released", f"not begun: {holders[0]} is locked")
        return True

    def _leave_out_refused(self) -> bool:
        """Cuts the plan down to the hosts that may go on; hosts whose part changes by that begin again with the new
        part. False when nothing is left to cut.
        """
        conductor = self.follower.conductor
        fit = [host for host in self._hosts() if host in conductor.active]
        if len(fit) == len(self._hosts()):
            return False
        part = subset.by_hosts(self.plan, fit)
        changed = [host for host in fit if steps.transactions(part, host) != self.requests[host]["transactions"]]
        self.plan = part
        self.follower.stop(changed)
        self.follower.until(lambda: not set(changed) & set(conductor.active))
        still = {c.host for c in part.changes}
        for host in changed:
            if host not in still:
                self.results[host] = ("dropped", "not begun: it depends on a host that was refused")
        self._start([host for host in changed if host in still], self._run_name())
        self.follower.until(lambda: not conductor.undecided)
        return True

    # what everybody remembers

    def _roster(self, roster: Mapping[str, Any]) -> None:
        gone = {host for host, (result, _) in self.results.items() if result in ("unreachable", "released", "dropped")}
        gone |= {host for host in self.requests if self._leaves_no_trace(host)}
        gone |= set(self.follower.conductor.refused) | set(self.follower.errors) | self.follower.left
        if self.order.control.presses or not roster:
            return
        reached = [
            name for name, host in self.plan.hosts.items() if host.reachable and name not in gone and name in self.pool.hosts
        ]
        fleet = {"id": self.plan.fleet_id, "name": self.plan.fleet_name}
        for host, error in leave_roster(self.pool, reached, fleet, roster).items():
            if isinstance(error, StalePlan):
                if host not in self.requests:  # a run of ours read the holds under its lock, and found them as planned on
                    self.results[host] = ("stale", f"{error.what}; make a new plan")
            elif isinstance(error, DeployerError):
                self.results[host] = ("unreachable", f"the roster could not be left there: {error.what}")

    def _roster_as_it_came(self) -> None:
        """What was left before the work says where replicas were to stand; those that were undone stand where they stood."""
        undone = {c.id for c in self.plan.changes if c.kind is Kind.REPLICA and self._was_undone(c)}
        if undone:
            roster = subset.roster_of(self.plan, {c.id for c in self.plan.changes} - undone)
            self._roster({**roster, "generation": int(roster.get("generation", 0)) + 1})

    def _was_undone(self, change: Change) -> bool:
        """Of what nobody knows how it ended, the plan's word stands."""
        ends = self.follower.conductor.results.get(change.host, {}).get("transactions", {})
        name = f"{change.deployment}~{change.wave}" if change.wave > 1 else str(change.deployment)
        return ends.get(name, {}).get("state") in ("undone", "skipped")

    def _leaves_no_trace(self, host: str) -> bool:
        """Its run takes away all that is ours: a roster would be something of ours again."""
        return any(step["kind"] == "agent.remove" for t in self.requests[host]["transactions"] for step in t["steps"])

    # the work

    def _conduct(self) -> None:
        self.follower.conduct(self._opened)

    def _opened(self, host: str) -> None:
        """The first barrier of this host has opened: bring what it waits for."""
        if host not in self.pushed:
            self.pushed.add(host)
            feed(self.follower, self.pool, self.plan, host, self.order.blobs, self.order.patience)
