"""All that is known of one deployment after one look at every host. Made by Deployment.look; shown by the terminal UI."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deployer.app.kinds import asks
from deployer.app.serving import AdapterState, adapters, computed
from deployer.execute.endpoint import Endpoint, endpoint
from deployer.execute.standing import DeploymentState
from deployer.execute.status import make_status
from deployer.plan.revisions import Revision, revisions
from deployer.plan.roster import latest
from deployer.spec.models import ApiKey, DeploymentSpec, FleetSpec
from deployer.state.locked import Locked
from deployer.state.observed import Observed, Reached, Unreached
from deployer.state.resources import Kind, Resource


@dataclass(frozen=True, slots=True)
class KeyState:
    """`known_by`: its SHA-256, or the reference that it comes from. `wanted`: the files name it; `works`: the gateways know it
    as it stands here.
    """

    name: str
    known_by: str
    wanted: bool
    works: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """`spec`: as the files say it, None for an orphan. `state` is None when neither a file nor a host that answered knows
    it. `revisions` are newest first, whole. `tunnel`: the command that brings the endpoint here, when it needs one. `silent`:
    hosts that did not answer, so what stands there is unknown. `gpus`: UUID → the number that the host gives it. `computes`: what
    it really computes in, in words, and which replicas do.
    """

    name: str
    spec: DeploymentSpec | None
    state: DeploymentState | None
    revisions: tuple[Revision, ...]
    endpoint: Endpoint | None
    tunnel: str | None
    silent: tuple[Unreached, ...] = ()
    gpus: Mapping[str, int] = field(default_factory=dict)
    computes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    adapters: tuple[AdapterState, ...] = ()

    @property
    def serving(self) -> Sequence[Resource]:
        """The replicas as they were last applied."""
        return _serving(self.revisions)

    @property
    def keys(self) -> Sequence[KeyState]:
        """Of its endpoint: those that the files name and those that the gateways know, by name."""
        wanted = {str(key.name): key.sha256 or (key.secret.id if key.secret else "") for key in (self._endpoint_keys())}
        current = (r for revision in self.revisions if revision.current for r in revision.resources if r.kind is Kind.ENDPOINT)
        known = {k["name"]: k.get("sha256") or k.get("secret") or "" for r in current for k in r.payload.get("keys", ())}
        return [
            KeyState(name, wanted.get(name) or known[name], name in wanted, known.get(name) == wanted.get(name, known.get(name)))
            for name in sorted({*wanted, *known})
        ]

    def _endpoint_keys(self) -> Sequence[ApiKey]:
        return self.spec.endpoint.keys if self.spec is not None else ()


def _serving(found: Sequence[Revision]) -> list[Resource]:
    return [r for revision in found if revision.current for r in revision.resources if r.kind is Kind.REPLICA]


def dossier(fleet: FleetSpec, root: Path, observed: Observed, name: str, at: str, locked: Locked | None = None) -> Dossier:
    """`locked` None: no lock, or one that is behind the files."""
    found = make_status(fleet, observed, at, names=(name,)).deployments
    where = endpoint(fleet, latest(observed), name)
    if where is not None:
        where = asks(where, root, fleet.deployments.get(name))
    spec, known = fleet.deployments.get(name), locked or Locked()
    past = revisions(observed, name, whole=True)
    return Dossier(
        name=name,
        spec=spec,
        state=found[0] if found else None,
        revisions=past,
        endpoint=where,
        tunnel=tunnel(fleet, root, where) if where is not None else None,
        silent=tuple(one for _, one in sorted(observed.items()) if isinstance(one, Unreached)),
        gpus={g["uuid"]: g["index"] for r in observed.values() if isinstance(r, Reached) for g in r.probe.get("gpus", ())},
        computes=computed(spec, known, observed, _serving(past)) if locked is not None else (),
        adapters=adapters(spec, known, _serving(past)),
    )


def tunnel(fleet: FleetSpec, root: Path, where: Endpoint) -> str | None:
    """The command that brings an endpoint which listens on its own host alone to this machine; None when it needs none."""
    host = fleet.hosts.get(where.gateway)
    if not where.loopback or host is None or host.address is None:
        return None
    port = fleet.gateway.port
    words = ["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}"]
    words += ["-p", str(host.port)] if host.port is not None else []
    words += ["-J", _jump(fleet, host.jump)] if host.jump else []
    words += ["-i", str(root / host.identity_file)] if host.identity_file else []
    return shlex.join([*words, f"{host.user}@{host.address}" if host.user else host.address])


def _jump(fleet: FleetSpec, jump: str) -> str:
    """The name of another host of the fleet, or an address as it is."""
    host = fleet.hosts.get(jump)
    if host is None or host.address is None:
        return jump
    user, port = (f"{host.user}@" if host.user else ""), (f":{host.port}" if host.port is not None else "")
    return f"{user}{host.address}{port}"
