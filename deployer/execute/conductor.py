"""Decides when the barriers of many runs open. Pure: takes what the hosts said, gives orders. Called by apply and attach.

A stage opens when every host that is still running waits at it. A host that failed or was lost does not hold the others, but
a deployment that failed on it goes no further on them: within a wave what has begun is undone, further waves do not begin.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from deployer.agent.wire import deployment_of, stage_rank

Order = tuple[str, dict[str, Any]]


class Conductor:
    def __init__(self) -> None:
        self._phase: dict[str, str] = {}  # "starting" | "running" | "ended"
        self._waiting: dict[str, str] = {}  # the barrier a host stands at
        self._sent: dict[str, str] = {}  # the last barrier we opened for it
        self._certificates: dict[str, str] = {}  # with which each host's gateway meets the others'
        self._stopping: set[str] = set()
        self._concerned: dict[str, tuple[str, ...]] = {}  # host → deployments of its run
        self._failed: dict[str, set[str]] = {}  # deployment → hosts on which it failed
        self.warnings: dict[tuple[str, str, str], None] = {}  # (host, transaction, text), each once, in their order
        self.failures: dict[tuple[str, str], str] = {}  # (host, transaction) → what its step said that failed
        self._rollouts: dict[str, Mapping[str, Any]] = {}  # deployment → how its rollout takes failures
        self._paused: bool | None = None  # None: nobody asked
        self.results: dict[str, Mapping[str, Any]] = {}  # the report of each host that gave one
        self.refused: dict[str, Mapping[str, Any]] = {}  # the "refused" line of each host that said it

    def add(self, hosts: Iterable[str]) -> None:
        """These hosts' runs begin (again)."""
        for host in hosts:
            self._phase[host] = "starting"
            for known in (self._waiting, self._sent, self._certificates, self.results, self.refused):
                known.pop(host, None)
            self._stopping.discard(host)

    @property
    def active(self) -> tuple[str, ...]:
        return tuple(host for host, phase in self._phase.items() if phase != "ended")

    @property
    def undecided(self) -> tuple[str, ...]:
        """Hosts that have neither their lock nor been refused."""
        return tuple(host for host, phase in self._phase.items() if phase == "starting")

    def began(self, host: str) -> bool:
        """Whether it ever had its lock: from then on things may have changed there."""
        return host in self._concerned

    def told_to_stop(self, host: str) -> bool:
        return host in self._stopping

    def take(self, host: str, line: Mapping[str, Any]) -> None:
        """One line of a host's run."""
        kind = line.get("type")
        if kind == "locked":
            self._phase[host] = "running"
            if line.get("certificate"):
                self._certificates[host] = str(line["certificate"])
            self._concerned[host] = tuple(line.get("deployments") or ())
            self._rollouts.update(line.get("rollouts") or {})
        elif kind == "step" and (line.get("data") or {}).get("warn"):
            self.warnings[host, str(line.get("tx")), str(line["data"]["warn"])] = None
        elif kind == "step" and line.get("state") in ("failed", "skipped"):
            self.failures[host, str(line.get("tx"))] = str(line.get("message") or "")
            name = deployment_of(str(line.get("tx")))
            if name is not None:
                self._failed.setdefault(name, set()).add(host)
        elif kind == "refused":
            self.refused[host] = line
        elif kind == "barrier":
            self._phase[host] = "running"
            if line.get("state") == "waiting":
                self._waiting[host] = str(line.get("stage"))
            else:
                self._waiting.pop(host, None)
        elif kind == "report":
            self.results[host] = line
            self._waiting.pop(host, None)

    def gone(self, host: str) -> None:
        self._phase[host] = "ended"
        if host not in self.results:  # it may have failed or not: nobody knows, and so it counts
            for name in self._concerned.get(host, ()):
                self._failed.setdefault(name, set()).add(host)
        self._waiting.pop(host, None)

    def open(self) -> list[Order]:
        """The barriers that may open now."""
        active = self.active
        if not active or any(host not in self._waiting for host in active):
            return []
        stage = min((self._waiting[host] for host in active), key=stage_rank)
        ready = [host for host in active if self._waiting[host] == stage and self._sent.get(host) != stage]
        for host in ready:
            self._sent[host] = stage
        return [(host, self._opening(host, stage)) for host in ready]

    def stop(self, hosts: Iterable[str]) -> list[Order]:
        """Finish the running step, then end."""
        asked = [host for host in hosts if host in self.active and host not in self._stopping]
        self._stopping.update(asked)
        return [(host, {"stop": True}) for host in asked]

    def pause(self, paused: bool) -> list[Order]:
        """Begin no new step, or go on, on every host."""
        self._paused = paused
        return [order for host in self.active for order in self.paused(host)]

    def paused(self, host: str) -> list[Order]:
        """What a host must be told of that when its run begins, or the connection may have swallowed it."""
        return [] if self._paused is None else [(host, {"pause": True} if self._paused else {"resume": True})]

    def again(self, host: str) -> list[Order]:
        """What a host must be told once more, because the connection broke and may have swallowed it."""
        if host in self._stopping:
            return [(host, {"stop": True})]
        stage = self._waiting.get(host)
        opening = [(host, self._opening(host, stage))] if stage and self._sent.get(host) == stage else []
        return [*self.paused(host), *opening]

    def opened(self, host: str, stage: str) -> bool:
        return host in self._sent and stage_rank(self._sent[host]) >= stage_rank(stage)

    def _opening(self, host: str, stage: str) -> dict[str, Any]:
        others = {name: text for name, text in sorted(self._certificates.items()) if name != host}
        halted = self._halted(stage)
        return {"open": stage, "data": {**({"certificates": others} if others else {}), **({"halt": halted} if halted else {})}}

    def _halted(self, stage: str) -> list[str]:
        """Deployments that failed more often than their rollout takes. Without auto_revert only new waves are held back."""
        found = []
        for name, hosts in self._failed.items():
            rule = self._rollouts.get(name, {})
            new_wave = stage.startswith("drain-")
            if len(hosts) > int(rule.get("max_failures") or 0) and (new_wave or rule.get("auto_revert", True)):
                found.append(name)
        return sorted(found)
