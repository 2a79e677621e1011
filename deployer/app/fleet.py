"""`Fleet`: everything that can be done with a fleet, for the command line, the terminal UI and Python programs.

with Fleet.load(".") as fleet:
    planned = fleet.plan()
    report = planned.apply()
"""

import getpass
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from deployer.app import checking, planning, saved
from deployer.app.gitfacts import email
from deployer.app.known import known
from deployer.app.passwords import Passwords
from deployer.app.planned import Planned, ignore
from deployer.app.secretvalues import SecretValues
from deployer.plan.model import Plan
from deployer.plan.world import Options
from deployer.spec.load import Loaded
from deployer.spec.models import FleetSpec
from deployer.state.locked import Locked
from deployer.state.observed import Observed

if TYPE_CHECKING:
    from deployer.app.adopting import Adopted
    from deployer.app.deployment import Deployment
    from deployer.app.files import Files
    from deployer.app.scraping import Scraping
    from deployer.execute.attach import Running
    from deployer.execute.endpoint import Endpoint
    from deployer.execute.events import Event, Report
    from deployer.execute.follow import Control
    from deployer.execute.pool import Pool
    from deployer.execute.standing import Status
    from deployer.lock.request import Progress
    from deployer.transport.base import Transport


def open_transport(root: Path, spec: FleetSpec, passwords: Passwords) -> "Transport":
    """The way to the fleet's hosts. Loaded late: it brings the SSH library."""
    from deployer import transport

    return transport.open_transport(root, spec, passwords.sudo)


class Fleet:
    """One repository of YAML and its hosts. Connections open when first needed and stay until `close`."""

    def __init__(self, loaded: Loaded, passwords: Passwords | None = None) -> None:
        self.loaded = loaded
        self.spec = loaded.fleet
        self.root = loaded.root
        self.secrets = SecretValues(loaded.root, loaded.fleet)
        self._passwords = passwords or Passwords()
        self._pool: Pool | None = None
        self._who: str | None = None
        self.narrate: Callable[[str], None] = ignore  # told what takes long, in words

    @classmethod
    def load(cls, path: str | Path = ".", *, passwords: Passwords | None = None) -> "Fleet":
        """Raises SpecError with every problem of every file."""
        return cls(checking.load(Path(path).resolve()), passwords)

    def again(self, *, close: bool = True) -> "Fleet":
        """The same fleet as its files are now. Connections are kept while the hosts are the same; else ours are closed, or
        left (`close` False) to whoever still works over them. Raises SpecError.
        """
        found = Fleet(checking.load(self.root), self._passwords)
        found.narrate = self.narrate
        if self._pool is not None and found.spec.hosts == self.spec.hosts:
            found._pool, found._who = self._pool, self._who
        elif close:
            self.close()
        return found

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def who(self) -> str:
        """Who applies: git's e-mail address, else user@machine."""
        if self._who is None:
            self._who = email(self.root) or f"{getpass.getuser()}@{socket.gethostname()}"
        return self._who

    @property
    def pool(self) -> "Pool":
        if self._pool is None:
            self._pool = self.open_pool()
        return self._pool

    def open_pool(self, *, connect_timeout_s: float = 10.0) -> "Pool":
        """Connections of its own, for work that must not share those of an apply. The caller closes it."""
        from deployer.execute.pool import Pool

        transport = open_transport(self.root, self.spec, self._passwords)
        return Pool(transport, self.spec.hosts, connect_timeout_s=connect_timeout_s)

    # what is wanted

    def lock(self, upgrade: Iterable[str] | Literal["all"] = (), on_progress: "Callable[[Progress], None]" = ignore) -> Locked:
        """Pins what is not pinned yet, or all that `upgrade` names, and writes deployer.lock."""
        from deployer.app import locking

        return locking.update(self.loaded, self.secrets, upgrade, on_progress)

    def locked(self) -> Locked:
        """Raises LockfileError when deployer.lock is missing or behind the files."""
        from deployer.app import locking

        return locking.current_lock(self.loaded)

    # what is there

    def probe(
        self, hosts: Sequence[str] = (), *, verify: bool = False, gpus: bool = True, history: Sequence[str] = ()
    ) -> Observed:
        """Asks all hosts, or these. One that does not answer is in the result as Unreached. `history`: deployments whose
        revisions are wanted with their resources.
        """
        from deployer.execute.probe import probe_hosts

        self.known(hosts=hosts)
        return probe_hosts(self.pool, hosts or sorted(self.spec.hosts), self.spec, verify=verify, gpus=gpus, history=history)

    def status(
        self,
        names: Sequence[str] = (),
        *,
        tags: Sequence[str] = (),
        observed: Observed | None = None,
        remembered: Observed | None = None,
    ) -> "Status":
        """`remembered`: the last answers of hosts, also of those that do not answer now; places and revisions are theirs."""
        from deployer.app.worlds import now
        from deployer.execute.status import make_status

        observed = self.probe() if observed is None else observed
        if tags:
            names = (*names, *(n for n, d in self.spec.deployments.items() if set(tags) & set(d.tags)))
            names = names or ("",)
        return make_status(self.spec, observed, now(), names=names, remembered=remembered)

    def deployment(self, name: str) -> "Deployment":
        from deployer.app.deployment import Deployment

        return Deployment(self, name)

    def endpoint(self, name: str, observed: Observed | None = None) -> "Endpoint":
        return self.deployment(name).endpoint(observed)

    def scraping(self, observed: Observed | None = None) -> "Scraping":
        """What Prometheus and Grafana need. Raises UsageError when no gateway may be read."""
        from deployer.app.scraping import scraping

        return scraping(self, observed)

    # from the one to the other

    def plan(self, options: Options | None = None, *, observed: Observed | None = None, judged: bool = True) -> "Planned":
        """Asks the hosts and says what would change. Touches nothing. `judged`: engines that are there already are asked about
        options that change, which takes seconds.
        """
        return planning.make(self, options or Options(), observed, judged=judged)

    def saved_plan(self, path: str | Path) -> "Planned":
        """A plan from a file. Applying it does exactly that: nothing is planned again."""
        file = Path(path)
        plan = saved.read(file)
        saved.check_fleet(plan, self.spec.id, file)
        return Planned(self, plan, None, None)

    def apply(self, plan: Plan | None = None, **more: Any) -> "Report":
        """Do a plan, or plan now and do that. See Planned.apply."""
        planned = Planned(self, plan, None, None) if plan is not None else self.plan()
        return planned.apply(**more)

    def hold(
        self, names: Sequence[str], kind: str | None, *, why: str | None = None, until: str | None = None, allow: bool = False
    ) -> "Planned":
        """Plan a person's exception ("stopped", "destroyed"), or with kind None the end of one. `allow`: although more of the
        fleet stops than guard.max_stopped says. `until`, here and below: ISO 8601, or a duration such as 2h.
        """
        from deployer.app.holding import hold

        return hold(self, names, kind, why, until, allow)

    def rollback(self, name: str, revision: int | None = None, *, why: str | None = None, until: str | None = None) -> "Planned":
        """Plan to go back to an earlier revision, by default the last before the current that answered, and to be held there
        whatever the files say. Everything comes from the hosts' records. Raises UsageError for a revision nobody remembers.
        """
        from deployer.app.holding import rollback

        return rollback(self, name, revision, why, until)

    def gc(self, names: Sequence[str] = (), *, hosts: Sequence[str] = ()) -> "Planned":
        """Plan to forget revisions beyond `keep`, and to remove the artifacts that nothing stands on any more."""
        from deployer.app.holding import gc

        return gc(self, names, hosts)

    def adopt(self, host: str, unit: str, name: str | None = None) -> "Adopted":
        """Reads a hand-made unit and says what its deployment's file would be. Touches nothing; `adopting.write` writes it."""
        from deployer.app.adopting import look

        return look(self, host, unit, name)

    def take_over(self, name: str, host: str, unit: str) -> "Planned":
        """Plan a deployment that takes over from a hand-made unit: that one stops, and is disabled, once ours answers."""
        from deployer.app.adopting import service
        from deployer.plan.world import Adoption

        self.known(deployments=(name,), hosts=(host,))
        return self.plan(Options(names=(name,), adopt=(Adoption(name, host, service(unit)),)))

    def promote(self, name: str) -> "Planned":
        """Plan that all replicas become what the canary is. Raises Refused when none stands."""
        from deployer.app.canary import promote

        return promote(self, name)

    def revert(self, name: str, *, why: str | None = None, until: str | None = None) -> "Planned":
        """Plan that the canary goes, and that the deployment is held at the revision of the others. Raises Refused when none
        stands.
        """
        from deployer.app.canary import revert

        return revert(self, name, why=why, until=until)

    def restart(self, names: Sequence[str]) -> "Planned":
        """Plan a new process for every running replica of these."""
        self.known(deployments=names)
        return self.plan(Options(names=tuple(names), restart=tuple(names)))

    def release(self, name: str) -> "Planned":
        """Plan the end of whatever a person holds a deployment at: what the files say counts again."""
        self.known(deployments=(name,))
        return self.plan(Options(names=(name,), release=(name,)))

    def cordon(self, hosts: Sequence[str], *, why: str | None = None, until: str | None = None) -> "Planned":
        """Plan that nothing new is placed on these hosts. Nothing moves."""
        from deployer.app.holding import cordon

        return cordon(self, hosts, "cordoned", why, until)

    def drain(self, hosts: Sequence[str], *, why: str | None = None, until: str | None = None) -> "Planned":
        """Plan that the replicas of these hosts move where they fit; the plan refuses what fits nowhere."""
        from deployer.app.holding import cordon

        return cordon(self, hosts, "drained", why, until)

    def uncordon(self, hosts: Sequence[str]) -> "Planned":
        """Plan the end of both. What moved away stays where it is."""
        from deployer.app.holding import cordon

        return cordon(self, hosts, None)

    def running(self, observed: Observed | None = None) -> "list[Running]":
        """Applies that go on on the hosts, oldest first."""
        from deployer.execute.attach import running

        return running(self.probe() if observed is None else observed)

    def attach(self, one: "Running", on_event: "Callable[[Event], None]" = ignore, control: "Control | None" = None) -> "Report":
        from deployer.app.notify import notify
        from deployer.app.outcome_body import Asked
        from deployer.app.steptimes import StepTimes
        from deployer.execute.attach import attach
        from deployer.execute.follow import Control

        times = StepTimes(self.root, on_event)
        plan = self.plan_of(one)
        try:
            report = attach(one, self.pool, self.spec, times.take, control or Control(), plan, self.files())
        finally:
            times.keep()
        return notify(self, report, plan, Asked(one.who, None, attached_by=self.who))

    def plan_of(self, one: "Running") -> Plan | None:
        """The plan that a running apply does; None when it was made on another machine, or is forgotten here."""
        return saved.kept(self.root, one.plan)

    def files(self) -> "Files":
        """The bytes that only this machine has."""
        from deployer.app.files import Files
        from deployer.lock.indexes import indexes

        return Files(self.root, indexes(self.root, self.spec.packages).places())

    def known(self, *, deployments: Iterable[str] = (), hosts: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """Raises UsageError, with the nearest name there is, for one that no file has."""
        known("deployment", deployments, sorted(self.spec.deployments))
        known("host", hosts, sorted(self.spec.hosts))
        known("tag", tags, sorted({tag for one in self.spec.deployments.values() for tag in one.tags}))
