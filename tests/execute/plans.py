"""Small plans made by hand: what execute does with a plan does not depend on how it was found."""

import hashlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, BinaryIO

from deployer.errors import DeployerError
from deployer.plan.model import Change, Plan, PlannedHost
from deployer.spec.models import FleetSpec, HostSpec
from deployer.state.resources import Kind, Resource

BYTES = b"weights" * 1000
SHA256 = hashlib.sha256(BYTES).hexdigest()


def fleet(names: Iterable[str]) -> FleetSpec:
    hosts = {name: HostSpec(name=name, address="192.0.2.1") for name in names}
    return FleetSpec(id="0123abcd", name="acme", hosts=hosts)


def model(host: str) -> Change:
    """A model folder that is pushed."""
    files = [{"path": "model.bin", "size": len(BYTES), "digest": f"sha256:{SHA256}"}]
    payload = {"method": "push", "path": "/var/lib/deployer/models/x", "origin": "models/x", "files": files}
    after = Resource(host, Kind.MODEL, "x", payload=payload)
    return Change(f"{host}/model", host, Kind.MODEL, "x", None, ("create",), "not there", after=after)


def replica(host: str, *, needs: tuple[str, ...] = (), depends_on: tuple[str, ...] = (), secret: str | None = None) -> Change:
    files = [{"path": "/etc/systemd/system/deployer-acme-chat-0.service", "mode": "0644", "owner": "root", "content": "[Unit]\n"}]
    if secret:
        files.append({"path": "/etc/deployer/acme/chat/token", "mode": "0600", "owner": "root", "secret": secret})
    ready = {"port": 20000, "deadline_s": 60.0}
    payload = {"unit": "deployer-acme-chat-0.service", "slot": 0, "port": 20000, "files": files, "ready": ready}
    after = Resource(host, Kind.REPLICA, "chat/0", "chat", payload={**payload, "stop_timeout_s": 30}, needs=needs)
    return Change(f"{host}/chat", host, Kind.REPLICA, "chat/0", "chat", ("create",), "new", after=after, depends_on=depends_on)


def plan(changes: Iterable[Change], *, idle: Iterable[str] = (), unreachable: Iterable[str] = ()) -> Plan:
    found = tuple(changes)
    hosts = {name: PlannedHost(True, f"print-{name}") for name in [*dict.fromkeys(c.host for c in found), *idle]}
    hosts |= {name: PlannedHost(False, error="timed out after 5 s", error_kind="timeout") for name in unreachable}
    return Plan(
        "planid", "0123abcd", "acme", None, "c0ffee", "2026-01-01T00:00:00Z", hosts=hosts, changes=found,
        roster={"generation": 3, "hosts": {}, "slots": {}, "holds": {}}, revisions={"chat": 2},
    )  # fmt: skip


class Bytes:
    """A BlobSource of one file."""

    def __init__(self, data: bytes = BYTES) -> None:
        self.data = data

    def check(self, blob: Mapping[str, Any]) -> None:
        if len(self.data) != blob["size"]:
            raise DeployerError(f"{blob['origin']} is not as it was locked")

    def open(self, blob: Mapping[str, Any]) -> BinaryIO:
        return BytesIO(self.data)


class NoSecrets:
    def __init__(self, **values: str) -> None:
        self.values = values

    def reveal(self, secret_id: str) -> str | None:
        return self.values.get(secret_id.partition(":")[2])
