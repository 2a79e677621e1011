"""What a plan must not do. Each guard looks at the whole world and says no with a reason, a place and a way out."""

from collections.abc import Iterable, Sequence

from deployer.engines.base import ChecksGpus, RunsPrograms, TakesAdapters
from deployer.plan import certificate
from deployer.plan.artifacts import adapter_need, locked_model
from deployer.plan.model import Change, Notice, Refusal
from deployer.plan.roster import Roster
from deployer.plan.world import World
from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel
from deployer.state.observed import Reached
from deployer.state.resources import Kind


def refusals(world: World, roster: Roster, wanted: Sequence[DeploymentSpec], changes: Sequence[Change]) -> list[Refusal]:
    """All noes, host by host and deployment by deployment."""
    replica, gateway = Kind.REPLICA, Kind.GATEWAY
    replicas = [c for c in changes if c.kind is replica and c.after is not None]
    listening = [c for c in changes if c.after is not None and (c.kind is replica or c.kind is gateway)]
    return [
        *machines(world, roster),
        *identity(world),
        *divergent(world),
        *renames(world, wanted),
        *licences(world, wanted),
        *models(world, wanted),
        *host_paths(world, wanted, replicas),
        *programs(world, wanted, replicas),
        *foreign_units(world, changes),
        *ports(world, listening),
        *gpu_driver(world, replicas),
        *gpu_kinds(world, wanted, replicas),
        *protected(world, wanted, changes),
        *certificate.refusals(world),
    ]


def machines(world: World, roster: Roster) -> Iterable[Refusal]:
    """One machine in two files; a machine that is not the one that stood there before."""
    seen: dict[str, str] = {}
    for name, reached in sorted(world.observed.items()):
        machine = reached.probe.get("machine_id") if isinstance(reached, Reached) else None
        if not machine:
            continue
        source = world.positions.of(f"host:{name}", "address")
        if machine in seen:
            what = f"{name} and {seen[machine]} are the same machine ({machine[:8]}…)"
            yield Refusal("machine", what, hint="remove one of the two files", host=name, source=source)
        seen[machine] = name
        known = roster.members.get(name)
        if known and known.machine_id and known.machine_id != machine and name not in world.options.replace_lost:
            what = f"{name} is another machine than before: reinstalled, cloned, or another address"
            details = (f"the fleet knows {known.machine_id[:8]}…, this one is {machine[:8]}…",)
            yield Refusal("machine", what, details, f"if that is right: --replace-lost {name}", name, source=source)


def identity(world: World) -> Iterable[Refusal]:
    for name, reached in sorted(world.observed.items()):
        if isinstance(reached, Reached) and reached.probe.get("name_conflict"):
            other = reached.probe["name_conflict"]
            what = f"{name} already belongs to another fleet that is also called {world.fleet.name} (id {other})"
            source = world.positions.of("deployer", "name")
            yield Refusal("fleet", what, hint="give this fleet another name", host=name, source=source)


def divergent(world: World) -> Iterable[Refusal]:
    """Somebody applied a commit that this checkout does not have."""
    if world.options.allow_divergent:
        return
    for commit, known in sorted(world.git.ancestors.items()):
        if known is False:
            what = f"your checkout is behind: the hosts were applied from {commit[:7]}, which is not in its history"
            yield Refusal("divergent", what, hint="git pull, or: --allow-divergent")


def renames(world: World, wanted: Sequence[DeploymentSpec]) -> Iterable[Refusal]:
    """A rename as a move needs two names to share one slot for a while; until that is done it is said, not ignored."""
    for spec in wanted:
        if spec.previous_names:
            source = world.positions.of(f"deployment:{spec.name}", "previous_names")
            what = f"{spec.name}: previous_names is not supported yet"
            hint = f"keep the name {spec.previous_names[0]}, or destroy it and deploy {spec.name} anew"
            yield Refusal("rename", what, (), hint, deployment=spec.name, source=source)


def licences(world: World, wanted: Sequence[DeploymentSpec]) -> Iterable[Refusal]:
    """A gated model wants its licence accepted in the repository, by the people who review it."""
    for spec in wanted:
        locked = locked_model(world.locked, spec)
        if locked is None or not locked.facts.gated:
            continue
        licence = locked.facts.license
        if spec.model.accept_license is None or (licence and spec.model.accept_license != licence):
            what = f"{spec.name}: the model {locked.name} asks for its licence to be accepted"
            hint = f"read it, then write in the model: accept_license: {licence or 'its name'}"
            source = world.positions.of(f"deployment:{spec.name}", "model", "accept_license")
            yield Refusal("licence", what, (f"licence: {licence or 'not stated'}",), hint, deployment=spec.name, source=source)


def models(world: World, wanted: Sequence[DeploymentSpec]) -> Iterable[Refusal]:
    """A model that the engine cannot serve, by what the lock knows of it."""
    for spec in wanted:
        locked = locked_model(world.locked, spec)
        for said in world.engines[spec.engine.name].check_model(spec, locked) if locked else ():
            source = world.positions.of(f"deployment:{spec.name}", *said.path)
            yield Refusal("model", f"{spec.name}: {said.message}", (), said.hint, deployment=spec.name, source=source)
        yield from _adapters(world, spec, locked)


def _adapters(world: World, spec: DeploymentSpec, base: LockedModel | None) -> Iterable[Refusal]:
    engine = world.engines[spec.engine.name]
    if base is not None and base.facts.adapter is not None and not base.facts.architectures:
        source = world.positions.of(f"deployment:{spec.name}", "model")
        what, hint = (
            f"{spec.name}: {base.name} is a LoRA adapter, not a model",
            "serve its base model, and name it under adapters",
        )
        yield Refusal("model", what, (), hint, deployment=spec.name, source=source)
    for number, adapter in enumerate(spec.adapters):
        locked = world.locked.models.get(adapter_need(adapter).key)
        if locked is None or not isinstance(engine, TakesAdapters):
            continue
        for said in engine.check_adapter(spec, number, base, locked):
            source = world.positions.of(f"deployment:{spec.name}", *said.path)
            yield Refusal("adapter", f"{spec.name}: {said.message}", (), said.hint, deployment=spec.name, source=source)


def host_paths(world: World, wanted: Sequence[DeploymentSpec], replicas: Sequence[Change]) -> Iterable[Refusal]:
    by_name = {spec.name: spec for spec in wanted if spec.model.host_path is not None}
    for change in replicas if by_name else ():
        spec = by_name.get(change.deployment or "")
        if spec is None or spec.model.host_path is None:
            continue
        reached = world.observed[change.host]
        if isinstance(reached, Reached) and not reached.probe.get("host_paths", {}).get(spec.model.host_path):
            what = f"{spec.name}: there is no model at {spec.model.host_path} on {change.host}"
            source = world.positions.of(f"deployment:{spec.name}", "model", "host_path")
            yield Refusal("host-path", what, (), "put it there, or use model.path", change.host, spec.name, source)
        elif isinstance(reached, Reached) and spec.model.file is not None:
            found = reached.probe.get("host_paths", {}).get(spec.model.host_path) or {}
            if spec.model.file not in found.get("files", {}):
                what = f"{spec.name}: there is no {spec.model.file} in {spec.model.host_path} on {change.host}"
                source = world.positions.of(f"deployment:{spec.name}", "model", "file")
                yield Refusal("host-path", what, (), "put it there, or name another one", change.host, spec.name, source)


def programs(world: World, wanted: Sequence[DeploymentSpec], replicas: Sequence[Change]) -> Iterable[Refusal]:
    """What an engine runs that is not ours to bring."""
    # asked of each engine once: to look whether a value has a protocol's methods is slow
    running = {name: engine for name, engine in world.engines.items() if isinstance(engine, RunsPrograms)}
    by_name = {spec.name: spec for spec in wanted if spec.engine.name in running}
    for change in replicas if by_name else ():
        spec, reached = by_name.get(change.deployment or ""), world.observed.get(change.host)
        if spec is None or not isinstance(reached, Reached):
            continue
        for program in running[spec.engine.name].programs(spec):
            folder, _, name = program.rpartition("/")
            there = reached.probe.get("host_paths", {}).get(folder or "/") or {}
            if name not in there.get("files", {}):
                what = f"{spec.name}: {program} is not on {change.host}"
                source = world.positions.of(f"deployment:{spec.name}", "engine", spec.engine.name, "program")
                hint = f"install it there, or say where it is: engine.{spec.engine.name}.program"
                yield Refusal("program", what, (), hint, change.host, spec.name, source)


def foreign_units(world: World, changes: Sequence[Change]) -> Iterable[Refusal]:
    there = {name: r.probe.get("foreign_units") for name, r in world.observed.items() if isinstance(r, Reached)}
    foreign = {name: units for name, units in there.items() if units}
    for change in changes if foreign else ():
        unit = change.after.payload.get("unit") if change.after is not None else None
        if unit in foreign.get(change.host, ()):
            what = f"{change.host} has a unit {unit} that is not ours"
            yield Refusal("foreign", what, hint="remove or rename it", host=change.host, deployment=change.deployment)


def ports(world: World, changes: Sequence[Change]) -> Iterable[Refusal]:
    """What is about to start must find its port free. A port whose listener is not known stays unknown, not taken."""
    taken = {name: _foreign_ports(reached) for name, reached in world.observed.items() if isinstance(reached, Reached)}
    for change in changes:
        theirs = taken.get(change.host)
        for port in [p for p in _wanted_ports(change) if p in theirs] if theirs else ():
            what = f"port {port} of {change.host} is in use by a program that is not ours, and {change.name} must listen there"
            hint = f"end that program (ss -ltnp 'sport = :{port}' names it)"
            hint += _another_port(change, port) if change.kind is Kind.GATEWAY else ""
            yield Refusal("port", what, (), hint, change.host, change.deployment, change.source)


def _foreign_ports(reached: Reached) -> set[int]:
    """Ports of a host on which something listens that no unit has."""
    return {entry["port"] for entry in reached.probe.get("listening", ()) if not entry.get("unit")}


def _another_port(change: Change, port: int) -> str:
    """What to write for the gateway to listen elsewhere."""
    assert change.after is not None
    if change.after.payload.get("metrics_port") == port:
        return ", or write gateway: {metrics: {port: …}} in deployer.yaml"
    field = "peer_port" if change.after.payload.get("peer_port") == port else "port"
    return f", or write gateway: {{{field}: …}} in deployer.yaml"


def _wanted_ports(change: Change) -> tuple[int, ...]:
    if change.after is None:
        return ()
    if change.kind is Kind.GATEWAY:
        return tuple(change.after.payload[key] for key in ("port", "peer_port", "metrics_port") if key in change.after.payload)
    starts = change.kind is Kind.REPLICA and "create" in change.actions and change.after.runs
    return (int(change.after.payload["port"]),) if starts else ()


def gpu_driver(world: World, replicas: Sequence[Change]) -> Iterable[Refusal]:
    """A driver that cannot be asked is no place to start anything on a GPU."""
    on_gpus = {c.host for c in replicas if c.after and c.after.payload.get("gpus")}
    for name in sorted(on_gpus):
        reached = world.observed.get(name)
        if isinstance(reached, Reached):
            yield from silent_driver(world, reached)


def silent_driver(world: World, reached: Reached) -> Iterable[Refusal]:
    error = reached.probe.get("gpu_error")
    if error:
        what = f"the GPUs of {reached.name} cannot be asked: {error}"
        hint = "look what nvidia-smi says there; often a reboot after a driver update"
        yield Refusal("driver", what, (), hint, reached.name, source=world.positions.of(f"host:{reached.name}", "address"))


def gpu_kinds(world: World, wanted: Sequence[DeploymentSpec], replicas: Sequence[Change]) -> Iterable[Refusal]:
    """A GPU that cannot compute what the engine is asked to: once per deployment, host and kind of GPU."""
    checking = {name: engine for name, engine in world.engines.items() if isinstance(engine, ChecksGpus)}
    by_name, seen = {spec.name: spec for spec in wanted if spec.engine.name in checking}, set()
    for change in replicas if by_name else ():
        spec, reached = by_name.get(change.deployment or ""), world.observed.get(change.host)
        if spec is None or change.after is None or not isinstance(reached, Reached):
            continue
        engine = checking[spec.engine.name]
        locked = locked_model(world.locked, spec)
        for gpu in reached.probe.get("gpus", []):
            capability, name = gpu.get("capability"), gpu.get("name") or "its GPU"
            key = (spec.name, change.host, name, capability)
            if gpu["uuid"] not in change.after.payload["gpus"] or not capability or key in seen:
                continue
            seen.add(key)
            for said in engine.check_gpu(spec, locked, name, capability):
                source = world.positions.of(f"deployment:{spec.name}", *said.path)
                yield Refusal("gpu", f"{spec.name}: {said.message}", (), said.hint, change.host, spec.name, source)


def protected(world: World, wanted: Sequence[DeploymentSpec], changes: Sequence[Change]) -> Iterable[Refusal]:
    """What the host remembers as protected is not destroyed, whatever the files say today. One that is still wanted may
    leave a host: it moves, or has fewer replicas.
    """
    said = {spec.name for spec in wanted}
    for change in changes:
        if change.after is not None or change.before is None or change.deployment is None or change.kind is not Kind.DEPLOYMENT:
            continue
        flag = change.before.attribute("protected")
        if flag is not None and flag.value is True and change.deployment not in said:
            said.add(change.deployment)
            what = f"{change.deployment} is protected"
            hint = "set protected: false in its file and apply that first"
            where = world.positions.of(f"deployment:{change.deployment}", "protected")
            yield Refusal("protected", what, (), hint, change.host, change.deployment, where)


def scattered(world: World, spec: DeploymentSpec, hosts: Sequence[str], gateways: Sequence[str]) -> Refusal | None:
    """Replicas on several hosts need one host that carries the endpoint."""
    distinct = sorted(set(hosts))
    if len(distinct) > 1 and not gateways:
        source = world.positions.of(f"deployment:{spec.name}", "replicas")
        what = f"{spec.name} has replicas on {', '.join(distinct)}, and no host is named to carry its endpoint"
        hint = f"write gateway: true in one host's file (hosts/{distinct[0]}.yaml), or gateway.hosts in deployer.yaml"
        return Refusal("gateway", what, (), hint, deployment=spec.name, source=source)
    return None


def unreachable_notices(world: World, roster: Roster) -> Iterable[Notice]:
    """What stays as it is on hosts that did not answer."""
    for name, reached in sorted(world.observed.items()):
        if isinstance(reached, Reached):
            continue
        slots = sum(1 for p in roster.places if p.host == name)
        stay = "its replica stays as it is" if slots == 1 else f"its {slots} replicas stay as they are"
        what = f"{stay}; apply skips it" if slots else "apply skips it"
        yield Notice("unreachable", what, host=name)


def running_notices(world: World) -> Iterable[Notice]:
    """An apply that goes on at this moment: what is planned now is about a host that is being changed."""
    for name, reached in sorted(world.observed.items()):
        for run in reached.probe.get("unfinished", ()) if isinstance(reached, Reached) else ():
            if run.get("alive"):
                what = f"an apply by {run.get('who') or 'somebody'} is going on on {name} since {run.get('since') or 'just now'}"
                yield Notice("running", what, "deployer attach follows it; until it ends an apply is refused", host=name)
