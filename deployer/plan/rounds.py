"""All that happens to one deployment on one host: one transaction for each wave of its rollout. Called by steps. Pure.

drain    what is replaced in place gets no new request, and those it has end
switch   new files; the old one stops, unless the new one stands beside it; the new one starts and answers. Where it takes
         nobody's place it is enabled: a boot must find it, for any gateway may send something to it from now on
gateway  the route; the endpoint answers; the new one holds for a while
finish   one that stands where another stood is enabled; what goes ends its requests, stops and is taken away; the revision
         is noted
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from deployer.agent import wire
from deployer.engines import logs
from deployer.plan import judging
from deployer.plan.aftermath import record
from deployer.plan.canaries import CANARY, is_canary
from deployer.plan.measured import MEMORY
from deployer.plan.model import Change, Plan
from deployer.plan.tasks import step, written
from deployer.state.resources import GATEWAY, Kind, Resource

#: How long requests may take to end where the plan does not say it. Seconds.
DRAIN_S = 300.0
#: What of a canary is clearly worse than of the old ones (see agent/canary.py).
CLEARLY_WORSE = {"min_requests": 20, "errors_more": 0.05, "errors_least": 3, "slower": 2.0, "slower_ms": 200}


def deployment(plan: Plan, host: str, name: str, changes: Sequence[Change], made: set[str]) -> list[wire.Transaction]:
    """`made`: ids of the transactions of this host that others may need."""
    found: list[wire.Transaction] = []
    for wave in sorted({c.wave for c in changes}):
        mine = [c for c in changes if c.wave == wave]
        so_far = replace(plan, changes=tuple(c for c in plan.changes if c.deployment != name or c.wave <= wave))
        steps = _round(so_far, host, name, mine)
        for one in steps:
            one["stage"] = wire.stage_in(wave, one["stage"])
        if not found:
            steps = [*_judged(changes, plan.judged.get(host, ())), *steps]
        wanted = {n for c in mine if c.after for n in c.after.needs} | {GATEWAY}
        needs = sorted(wanted & made) + [t["id"] for t in found[-1:]]
        found.append({"id": name, "deployment": name, "needs": needs, "steps": steps})
        if wave > 1:
            found[-1]["id"], found[-1]["wave"] = f"{name}~{wave}", wave
    return found


def _judged(changes: Sequence[Change], known: Collection[str]) -> list[wire.Step]:
    """The engine's own judgement of its options, once for the same ones, when its environment and its model are there and
    nothing has been touched yet. Of all waves: it is the first step of the first. `known`: keys of what it took on this host
    when it was asked for the plan, which is only noted.
    """
    asked: dict[str, wire.Step] = {}
    for change in changes:
        told = judging.told(change)
        if told is not None and told["key"] not in asked:
            label = f"{change.deployment}: its options, as the engine reads them"
            more = {"judged": True} if told["key"] in known else {}
            where = judging.changed(change)
            args = {**told, "where": str(where) if where is not None else None, **more}
            asked[told["key"]] = step("artifacts", "engine.check", change, label, 180.0, **args)
    return list(asked.values())


def _round(plan: Plan, host: str, name: str, changes: Sequence[Change]) -> list[wire.Step]:
    replicas = [c for c in changes if c.kind is Kind.REPLICA]
    endpoints = [c for c in changes if c.kind is Kind.ENDPOINT]
    draining = [c for c in replicas if "drain" in c.data]
    steps: list[wire.Step] = []
    for change in draining:
        steps += [s for e in endpoints if e.after is not None for s in _keys("drain", e, e.after)]
        steps += _drain(change, change.data["drain"])
    steps += [s for change in replicas if change.after is not None for s in _switch(change, change.after)]
    if any(s["kind"] == "unit.stop" for s in steps):
        steps = [*_answers_again(plan, host, name, replicas[0]), *steps]
    steps += _routes(plan, host, name, replicas, endpoints, draining, any(s["kind"] == "unit.start" for s in steps))
    steps += [s for change in replicas for s in (_watch(change) if _tried(change) else _steady(change))]
    steps += [s for change in replicas for s in _settle(change)]
    steps += [s for e in endpoints if e.after is None and e.before is not None for s in _no_route(e, e.before)]
    return [*steps, *_note(plan, host, name, changes[-1])]


def _routes(
    plan: Plan,
    host: str,
    name: str,
    replicas: Sequence[Change],
    endpoints: Sequence[Change],
    draining: Sequence[Change],
    started: bool,
) -> list[wire.Step]:
    """What clients' requests find: a changed route, the one before the drain, or the same one with a new process behind."""
    if endpoints:
        return [s for e in endpoints if e.after is not None for s in _route(e, e.after, keys=not draining)]
    if draining:
        return [s for change in draining for s in _back(change, change.data["drain"])]
    return _still_answers(plan, host, name, replicas[0]) if started else []


def _note(plan: Plan, host: str, name: str, last: Change) -> list[wire.Step]:
    noted = record(plan, host, name)
    steps = [step("finish", "record", last, "note the revision", deployment=name, record=noted)]
    if noted is None:
        for what, root in (("history", wire.ROOT_STATE), ("caches", wire.ROOT_CACHE), ("request log", wire.ROOT_LOGS)):
            tree = f"{root}/{plan.fleet_name}/{name}"
            steps.append(step("finish", "tree.remove", last, f"remove its {what}", path=tree))
    return steps


def _drain(change: Change, drain: dict[str, Any]) -> list[wire.Step]:
    """The gateway is told; what runs ends."""
    steps = [written("drain", change, f) for f in drain["during"]]
    steps.append(_reload("drain", change, drain))
    asked = {"unit": drain["unit"], "ports": drain["ports"], "deadline_s": drain["deadline_s"], "quiet_s": drain["quiet_s"]}
    limit = float(drain["deadline_s"]) + 30.0
    steps.append(step("drain", "gateway.drained", change, "requests on it end", limit, **asked))
    return steps


def _back(change: Change, drain: dict[str, Any]) -> list[wire.Step]:
    """The route as it was: the replaced ones get requests again."""
    steps = [written("gateway", change, f) for f in drain["after"]]
    steps.append(_reload("gateway", change, drain))
    if drain["check"]:
        steps.append(step("gateway", "endpoint.ready", change, "the endpoint answers", 90.0, **drain["check"]))
    return steps


def _reload(stage: str, change: Change, p: Any) -> wire.Step:
    return step(stage, "gateway.reload", change, "reload the gateway", unit=p["unit"], config_dir=p["config_dir"])


def _ready(resource: Resource) -> dict[str, Any]:
    """What `unit.ready` is told. A record says only whose log it is: what its lines mean is read here, by what is known today."""
    told = dict(resource.payload["ready"])
    log = told.pop("log", ())
    return {**told, **logs.patterns(tuple(log))}


def _stop(stage: str, change: Change, resource: Resource) -> wire.Step:
    p = resource.payload
    ready = {"unit": p["unit"], **_ready(resource)}
    timeout = float(p["stop_timeout_s"])
    label, args = f"stop {resource.name}", {"unit": p["unit"], "timeout_s": timeout, "ready": ready, "gpus": p["gpus"]}
    return step(stage, "unit.stop", change, label, timeout + 60.0, **args)


def _drained(plan_deadline: float | None, change: Change, resource: Resource, gateway: str, *, undo: bool = False) -> wire.Step:
    """No request is on this replica any more. `undo`: asked when the change is undone."""
    deadline = plan_deadline or DRAIN_S
    args = {"unit": gateway, "ports": [resource.payload["port"]], "deadline_s": deadline, "undo": undo}
    label = "nothing is sent to it when it is undone" if undo else f"requests on the old {resource.name} end"
    return step("switch" if undo else "finish", "gateway.drained", change, label, deadline + 30.0, **args)


def _switch(change: Change, after: Resource) -> list[wire.Step]:
    """The files of the new one; the old one stops, unless both stand; the new one starts and answers."""
    before = change.before
    unit = after.payload["unit"]
    steps = [written("switch", change, f) for f in after.payload["files"]]
    steps += [step("switch", "file.remove", change, f"remove {d}", path=d) for d in change.data.get("dropins", ())]
    steps.append(step("switch", "systemd.reload", change, "read units again"))
    if not _starts_or_stops(change, after):
        return steps + _adapters(change, before, after)
    if before is not None and before.runs and not change.beside:
        steps.append(_stop("switch", change, before))
    if after.runs:
        ready = _ready(after)
        beside = change.beside or (before is None and _tried(change))
        more: dict[str, Any] = {"beside": True} if beside else {}
        if after.payload.get("gpu_share"):
            more |= {"gpus": after.payload["gpus"], "gpu_share": after.payload["gpu_share"]}
            more |= {"shared": True} if "share" in after.payload else {}
        steps.append(step("switch", "unit.start", change, f"start {after.name}", unit=unit, **more))
        if beside:
            steps.append(_drained(after.payload["drain_s"], change, after, after.payload["gateway"], undo=True))
        deadline = float(ready["deadline_s"]) + 30.0
        noted = {MEMORY: change.data[MEMORY]} if MEMORY in change.data else {}
        steps.append(step("switch", "unit.ready", change, f"{after.name} answers", deadline, unit=unit, **ready, **noted))
        if _is_enabled_at_once(change, after):
            steps.append(_enabled("switch", change, after))
    return steps


def _adapters(change: Change, before: Resource | None, after: Resource) -> list[wire.Step]:
    """A running engine takes another list of adapters as it is. Its files say the same, for its next start."""
    wanted = after.payload.get("adapters", [])
    if before is None or not before.runs or not after.runs or before.payload.get("adapters", []) == wanted:
        return []
    args = {"unit": after.payload["unit"], "port": after.payload["port"], "adapters": wanted}
    return [step("switch", "unit.adapters", change, f"adapters of {after.name}", 600.0, **args)]


def _keys(stage: str, change: Change, after: Resource) -> list[wire.Step]:
    p = after.payload
    if not p["keys"]:
        return [step(stage, "file.remove", change, "remove the keys", path=p["keys_path"])]
    return [step(stage, "gateway.keys", change, "write the keys", path=p["keys_path"], keys=p["keys"])]


def _route(change: Change, after: Resource, *, keys: bool) -> list[wire.Step]:
    """A front that is new stands before any gateway sends something there; an address of clients changes when all stand."""
    p = after.payload
    stage = "switch" if change.before is None and not p["carries"] else "gateway"
    steps = _keys(stage, change, after) if keys else []
    steps += [written(stage, change, f) for f in p["files"]]
    kept = {f["path"] for f in p["files"]}
    gone = [f["path"] for f in change.before.payload["files"] if f["path"] not in kept] if change.before else []
    steps += [step(stage, "file.remove", change, f"remove {path}", path=path) for path in gone]
    steps.append(_reload(stage, change, p))
    if p.get("check"):
        steps.append(step("gateway", "endpoint.ready", change, "the endpoint answers", 90.0, **p["check"]))
    return steps


def _no_route(change: Change, before: Resource) -> list[wire.Step]:
    """Last of all: until then another gateway may still have sent something here."""
    p = before.payload
    steps = [step("finish", "file.remove", change, f"remove {f['path']}", path=f["path"]) for f in p["files"]]
    steps.append(step("finish", "file.remove", change, "remove the keys", path=p["keys_path"]))
    return [*steps, _reload("finish", change, p)]


def _still_answers(plan: Plan, host: str, name: str, change: Change) -> list[wire.Step]:
    """A route that stays as it is must find the new process: the gateway looks only every so often whether one is up."""
    checks = _checks(plan, host, name)
    return [step("gateway", "endpoint.ready", change, "the endpoint answers", 90.0, **check) for check in checks]


def _answers_again(plan: Plan, host: str, name: str, change: Change) -> list[wire.Step]:
    """First of all steps, so that its undo is the last: the old one is back when the endpoint says so."""
    checks = _checks(plan, host, name)
    return [step("switch", "endpoint.again", change, "the endpoint answers as before", 60.0, **check) for check in checks]


def _checks(plan: Plan, host: str, name: str) -> list[dict[str, Any]]:
    known = plan.recorded.get(host, {}).get(name, ())
    return [r.payload["check"] for r in known if r.kind is Kind.ENDPOINT and r.payload.get("check")]


def _steady(change: Change) -> list[wire.Step]:
    """Where one stood before, the new one must hold for a while: until then the old one can come back."""
    before, after = change.before, change.after
    if before is None or after is None or not before.runs or not after.runs or "create" not in change.actions:
        return []
    p, seconds = after.payload, float(after.payload["steady_s"])
    if seconds <= 0:
        return []
    args = {"unit": p["unit"], "port": p["port"], "ready_path": p["ready_path"], "seconds": seconds}
    return [step("gateway", "unit.steady", change, f"{after.name} holds", seconds + 60.0, **args)]


def _tried(change: Change) -> bool:
    """A canary that gets a new process."""
    return change.after is not None and is_canary(change.after) and "create" in change.actions


def _watch(change: Change) -> list[wire.Step]:
    """It holds, and the gateway sees no more wrong with it than with the old ones."""
    assert change.after is not None
    p = change.after.payload
    tried, least = p[CANARY], float(p["steady_s"])
    seconds = max(float(tried["watch_s"]), least) if tried["watch_s"] else least
    if seconds <= 0:
        return []
    args = {"unit": p["unit"], "port": p["port"], "ready_path": p["ready_path"], "seconds": seconds}
    if not tried["watch_s"]:
        return [step("gateway", "unit.steady", change, f"{change.name} holds", seconds + 60.0, **args)]
    more = {"gateway": p["gateway"], "against": tried["against"], "rules": dict(CLEARLY_WORSE)}
    return [step("gateway", "canary.watch", change, f"the canary {change.name} is watched", seconds + 60.0, **args, **more)]


def _settle(change: Change) -> list[wire.Step]:
    """A boot brings back what answered: the new unit is enabled, the old one's traces go."""
    before, after = change.before, change.after
    steps: list[wire.Step] = []
    if after is not None and not _is_enabled_at_once(change, after):
        steps.append(_enabled("finish", change, after))
    gone = before is not None and (after is None or before.payload["unit"] != after.payload["unit"])
    if before is None or not gone:
        return steps
    if before.runs and (after is None or change.beside):
        steps.append(_drained((after or before).payload["drain_s"], change, before, before.payload["gateway"]))
        steps.append(_stop("finish", change, before))
    steps.append(step("finish", "unit.disable", change, f"disable {before.payload['unit']}", unit=before.payload["unit"]))
    kept = {f["path"] for f in after.payload["files"]} if after else set()
    files = [f["path"] for f in before.payload["files"] if f["path"] not in kept]
    steps += [step("finish", "file.remove", change, f"remove {path}", path=path) for path in (*files, *_folders(files))]
    steps.append(step("finish", "systemd.reload", change, "read units again"))
    return steps


def _starts_or_stops(change: Change, after: Resource) -> bool:
    return "create" in change.actions or (change.before is not None and change.before.runs != after.runs)


def _is_enabled_at_once(change: Change, after: Resource) -> bool:
    """Not one that takes another's place: until it is known to hold, a boot must bring back that one, and not both of them."""
    in_place = change.before is not None and change.before.runs and not change.beside
    return after.runs and not in_place and _starts_or_stops(change, after)


def _enabled(stage: str, change: Change, after: Resource) -> wire.Step:
    verb = "unit.enable" if after.runs else "unit.disable"
    return step(stage, verb, change, f"{verb.partition('.')[2]} {after.name}", unit=after.payload["unit"])


def _folders(paths: Sequence[str]) -> list[str]:
    """Folders of ours that may be empty now, deepest first; one that is not empty stays."""
    ours = f"{wire.ROOT_ETC}/"
    folders = {p.rpartition("/")[0] for p in paths if p.startswith(ours)}
    parents = {f.rpartition("/")[0] for f in folders}
    both = {f for f in folders | parents if f.count("/") >= ours.count("/") + 1}
    return sorted(both, key=lambda f: (-f.count("/"), f))
