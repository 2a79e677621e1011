"""Hosts that live in this process and speak the agent's verbs, with knobs for what goes wrong. For tests of execute and app."""

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.agent.wire import STAGES
from deployer.errors import DeployerError, Unreachable
from deployer.spec.models import HostSpec
from deployer.transport.base import Channel, Connection

AT = "2026-01-01T00:00:00Z"


@dataclass
class Host:
    """What a stub host has and does. `drop_at`: break the connection after so many lines of the run, once."""

    name: str
    probe: dict[str, Any] = field(default_factory=dict)
    error: DeployerError | None = None
    holder: dict[str, Any] | None = None
    stale: str | None = None
    fail_stage: str | None = None
    drop_at: int | None = None
    tick_at: str | None = None  # the stage at which it says that nothing happens
    roster: dict[str, Any] | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    partial: dict[str, bytes] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    orders_seen: list[dict[str, Any]] = field(default_factory=list)
    connects: int = 0
    journal: list[dict[str, Any]] = field(default_factory=list)
    orders: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)
    grown: threading.Condition = field(default_factory=threading.Condition)
    arrived: threading.Event = field(default_factory=threading.Event)

    def say(self, line: dict[str, Any]) -> None:
        with self.grown:
            self.journal.append({"at": AT, **line, "offset": len(self.journal) + 1})
            self.grown.notify_all()

    def live(self, request: dict[str, Any]) -> None:
        """One run, as the agent does it."""
        if self.holder:
            self.say({"type": "refused", "reason": "lock", "holder": self.holder, "detail": f"{self.holder['who']} is applying"})
            self.say({"type": "report", "result": "locked", "transactions": {}})
            return
        if self.stale:
            self.say({"type": "refused", "reason": "stale", "detail": self.stale})
            self.say({"type": "report", "result": "stale", "transactions": {}})
            return
        self.say({"type": "locked", "certificate": f"certificate of {self.name}"})
        ends = {t["id"]: {"state": "skipped"} for t in request["transactions"]}
        for stage in STAGES:
            self.say({"type": "barrier", "stage": stage, "state": "waiting"})
            if stage == self.tick_at:
                self.say({"type": "tick"})
            if not self._told(stage):
                self.say({"type": "report", "result": "stopped", "transactions": ends})
                return
            self.say({"type": "barrier", "stage": stage, "state": "open"})
            if stage == "artifacts":
                self._wait_for_blobs(request)
            for transaction in request["transactions"]:
                if not self._stage(stage, transaction, ends):
                    return
        self.say({"type": "report", "result": "done", "transactions": ends})

    def _stage(self, stage: str, transaction: dict[str, Any], ends: dict[str, Any]) -> bool:
        for step in (s for s in transaction["steps"] if s["stage"] == stage):
            said = {"type": "step", "tx": transaction["id"], "step": step["id"], "change": step["change"], "label": step["label"]}
            self.say({**said, "state": "start"})
            if stage == self.fail_stage:
                end = {"state": "undone", "step": step["id"], "message": "it did not answer", "cause": "no memory"}
                end |= {"hint": "max_model_len: 100", "log": ["line 1", "line 2"]}
                self.say({**said, "state": "failed", "message": "it did not answer"})
                self.say({"type": "report", "result": "rolled-back", "transactions": {**ends, transaction["id"]: end}})
                return False
            self.say({**said, "state": "done"})
        ends[transaction["id"]] = {"state": "done"}
        return True

    def _wait_for_blobs(self, request: dict[str, Any]) -> None:
        wanted = [b for t in request["transactions"] for s in t["steps"] for b in s["args"].get("blobs", ())]
        while any(b["sha256"] not in self.blobs for b in wanted):
            self.arrived.wait(10)
            self.arrived.clear()

    def _told(self, stage: str) -> bool:
        while True:
            try:
                order = self.orders.get(timeout=5)
            except queue.Empty:  # nobody follows any more: the run ends alone, as on a real host
                return False
            self.orders_seen.append(order)
            if order.get("stop"):
                return False
            if order.get("open") == stage:
                return True


class StubChannel(Channel):
    def __init__(self, host: Host, verb: str, request: Mapping[str, Any]) -> None:
        self.host = host
        self.verb = verb
        self.request = dict(request)
        self.data: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def lines(self) -> Iterator[dict[str, Any]]:
        if self.verb == "probe":
            yield {"type": "probe", **self.host.probe}
        elif self.verb == "roster":
            self.host.roster = self.request["roster"]
            yield {"type": "roster", "written": True}
        elif self.verb == "put":
            yield from self._put()
        else:
            yield from self._follow(int(self.request.get("offset", 0)))
        yield {"type": "end"}

    def _put(self) -> Iterator[dict[str, Any]]:
        for blob in self.request["blobs"]:
            have = self.host.partial.pop(blob["sha256"], b"")
            yield {"type": "want", "sha256": blob["sha256"], "offset": len(have)}
            while len(have) < blob["size"]:
                have += self.data.get(timeout=10)
            self.host.blobs[blob["sha256"]] = have
            self.host.arrived.set()
            yield {"type": "stored"}

    def _follow(self, offset: int) -> Iterator[dict[str, Any]]:
        host = self.host
        while True:
            with host.grown:
                while len(host.journal) <= offset:
                    assert host.grown.wait(timeout=10), f"{host.name} says nothing"
                line = host.journal[offset]
            offset += 1
            if host.drop_at is not None and offset > host.drop_at:
                host.drop_at = None
                raise Unreachable("connection reset", where=host.name)
            yield line
            if line["type"] == "report":
                return

    def send(self, line: Mapping[str, Any]) -> None:
        self.host.orders.put(dict(line))

    def send_bytes(self, data: bytes) -> None:
        self.data.put(data)

    def done_sending(self) -> None: ...

    def close(self) -> None: ...


class StubConnection(Connection):
    def __init__(self, host: Host) -> None:
        self.host = host
        self.name = host.name

    def open(self, verb: str, request: Mapping[str, Any]) -> Channel:
        self.host.requests.append({"verb": verb, **request})
        if verb == "start":
            self.host.journal = []
            self.host.orders = queue.SimpleQueue()
            threading.Thread(target=self.host.live, args=(dict(request),), daemon=True).start()
        return StubChannel(self.host, verb, request)

    def close(self) -> None: ...


class StubTransport:
    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self.hosts = hosts

    def connect(self, host: HostSpec, *, timeout_s: float) -> Connection:
        stub = self.hosts[host.name]
        stub.connects += 1
        if stub.error is not None:
            raise stub.error
        return StubConnection(stub)
