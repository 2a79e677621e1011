"""All that is known of one host, line by line: what it is, what it has, who works on it, what is wrong and what to do. Pure
drawing of values. Used by the host's panel.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from deployer.app.fleet import Fleet
from deployer.app.looking import FleetNow, GpuNow, HostNow
from deployer.app.times import age, ago
from deployer.app.values import HostState
from deployer.plan import costs
from deployer.plan.words import count, size
from deployer.tui import holding
from deployer.tui.glyphs import STATE_ROLES, Glyphs
from deployer.tui.hostrows import model, state_cell
from deployer.tui.line import Line, Span, line
from deployer.tui.meters import MEMORY, gib, heat_word, load_role, load_word

#: What a probe tells of the machine: the key of `wire.Probe` → as it is said. None: not answered yet; empty: it will not.
Machine = Mapping[str, Any] | None


def facts(name: str, now: FleetNow, fleet: Fleet, machine: Machine, glyphs: Glyphs) -> list[Line]:
    host = now.hosts.get(name, HostNow(name, "connecting"))
    said = next((one for one in now.status.hosts if one.name == name), None) if now.status else None
    found = [*_word(host, glyphs), *_address(name, fleet), *_machine(machine, host, glyphs), *_loads(host)]
    found += _gpus(host.gpus, glyphs)
    if said is not None and said.hold:
        found.append(_fact("held", *holding.in_words(said.hold)))
    if said is not None:
        found += [*_idle(name, now), *_disks(said), *_work(said)]
    return found + _replicas(name, now, glyphs)


def _fact(what: str, *said: str | Span) -> Line:
    return line((f"{what:<10}", "bold"), *said)


def _word(host: HostNow, glyphs: Glyphs) -> list[Line]:
    heard = "  never heard since you look on"
    if host.heard_s is not None:
        heard = f"  heard {age(host.heard_s)} ago" if host.heard_s >= 2 or host.state != "up" else "  heard just now"
    found = [_fact("state", state_cell(host.state, glyphs), (heard, "dim"))]
    if host.error:
        found.append(_fact("why", (host.error, "bad")))
    if host.hint:
        found.append(_fact("next", host.hint))
    return found


def _address(name: str, fleet: Fleet) -> list[Line]:
    spec = fleet.spec.hosts.get(name)
    if spec is None:
        return [_fact("file", ("no file of this fleet names it; the roster of other hosts does", "warn"))]
    if spec.connection == "local":
        found = [_fact("address", "this machine")]
    else:
        port = f" port {spec.port}" if spec.port else ""
        through = f", through {spec.jump}" if spec.jump else ""
        found = [_fact("address", f"{f'{spec.user}@' if spec.user else ''}{spec.address}{port}{through}")]
    if spec.labels:
        found.append(_fact("labels", ", ".join(f"{key}={value}" for key, value in spec.labels.items())))
    if spec.price is not None:
        month = costs.month(fleet.spec, name, 1)
        each = f", {costs.words({month[1]: month[0]})} a month" if month else ""
        found.append(_fact("price", f"{spec.price[0]:g} {spec.price[1]} for an hour of a GPU{each}"))
    if spec.state != "active":
        found.append(_fact("file says", (spec.state, "warn")))
    return found


def _machine(machine: Machine, host: HostNow, glyphs: Glyphs) -> list[Line]:
    if machine is None:
        return [_fact("system", (f"asking {glyphs.fold}", "dim"))] if host.state == "up" else []
    if not machine:
        return []
    parts = [
        str(machine.get("os") or ""),
        str(machine.get("arch") or ""),
        f"kernel {machine['kernel']}" if machine.get("kernel") else "",
        f"systemd {machine['systemd']}" if machine.get("systemd") else "",
        f"Python {machine['python'][0]}" if machine.get("python") else "",
    ]
    found = [_fact("system", ", ".join(part for part in parts if part))]
    if machine.get("driver"):
        cuda = f", CUDA {machine['cuda']}" if machine.get("cuda") else ""
        found.append(_fact("driver", f"{machine['driver']}{cuda}"))
    if machine.get("gpu_error"):
        found.append(_fact("driver", (str(machine["gpu_error"]), "warn")))
    return found


def _loads(host: HostNow) -> list[Line]:
    if host.memory_total is None:
        return []
    used = None if host.memory_available is None else host.memory_total - host.memory_available
    load = f", load {host.load:.2f} per CPU" if host.load is not None else ""
    return [_fact("memory", f"{gib(used, host.memory_total)} GiB used{load}")]


def _gpus(gpus: Iterable[GpuNow], glyphs: Glyphs) -> list[Line]:
    found: list[Line] = []
    for number, gpu in enumerate(gpus):
        one = gpu.sample
        share = 100 * one.memory_used / one.memory_total if one.memory_total else None
        told: list[str | Span] = [f"{one.index}  {model(one.name)}  "]
        if one.utilization is not None:
            told.append((f"{one.utilization}% {load_word(one.utilization)}  ", load_role(one.utilization)))
        told.append((f"{gib(one.memory_used, one.memory_total)} GiB  ", load_role(share, MEMORY)))
        if one.temperature is not None:
            word = heat_word(one.temperature)
            told.append((f"{one.temperature}{glyphs.degree} {word}  ", {"hot": "bad", "warm": "warn"}.get(word, "")))
        told.append(gpu.replica or ("free", "dim"))
        found.append(_fact("GPU" if number == 0 else "", *told))
    return found


def _idle(name: str, now: FleetNow) -> list[Line]:
    """GPUs that are paid for and that no deployment has."""
    idle = now.status.idle if now.status else None
    number = idle.hosts.get(name, 0) if idle is not None else 0
    return [_fact("idle", (f"{count(number, 'GPU')} that no deployment has", "warn"))] if number else []


def _disks(said: HostState) -> list[Line]:
    found = []
    for path, sizes in (said.disk or {}).items():
        free, total = sizes.get("free"), sizes.get("total")
        if free is not None and total is not None:
            role = "warn" if total and free < total / 10 else ""
            found.append(_fact("disk", f"{path}  ", (f"{size(free)} free", role), f" of {size(total)}"))
    return found


def _work(said: HostState) -> list[Line]:
    found = []
    if said.lock:
        doing = said.lock.get("doing") or "apply"
        found.append(_fact("lock", f"held by {said.lock.get('who')}, {ago(said.lock.get('since'))}: {doing}"))
    for run in said.unfinished:
        if run.get("alive"):
            found.append(_fact("apply", (f"one by {run.get('who')} is running: 3 shows it", "accent")))
        else:
            told = f"one by {run.get('who')} was not finished, {ago(run.get('since'))}: a plan (2) undoes or finishes it"
            found.append(_fact("apply", (told, "warn")))
    return found


def _replicas(name: str, now: FleetNow, glyphs: Glyphs) -> list[Line]:
    found: list[Line] = []
    for one in now.status.deployments if now.status else ():
        for replica in one.replicas:
            if any(unit.host == name for unit in replica.units):
                sign = glyphs.states.get(replica.state, "?")
                state = (f"{sign} {replica.state}", STATE_ROLES.get(replica.state, "dim"))
                why = f"  {replica.reason}" if replica.reason else ""
                found.append(_fact("" if found else "replicas", f"{one.name}/{replica.slot}  ", state, why))
    return found or [_fact("replicas", ("none", "dim"))]
