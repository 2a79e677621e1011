"""The steps of one transaction each: an artifact, a package, the gateway, a deployment, a removal."""

from collections.abc import Sequence
from typing import Any

from deployer.agent import wire
from deployer.plan.aftermath import record
from deployer.plan.model import Change, Plan
from deployer.plan.record import HOST_RECORD
from deployer.state.resources import Kind, Resource

_HOUR = 3600.0


def step(stage: str, kind: str, change: Change, label: str, limit_s: float = 120.0, /, **args: Any) -> wire.Step:
    return {"id": "", "stage": stage, "kind": kind, "change": change.id, "label": label, "args": args, "timeout_s": limit_s}


def blobs(resource: Resource) -> list[dict[str, Any]]:
    """The bytes an artifact is made of that only the controller has."""
    payload = resource.payload
    if resource.kind is Kind.TOOL:
        return [{"sha256": payload["sha256"], "size": payload["size"], "origin": payload["origin"]}]
    if resource.kind is Kind.ENVIRONMENT:
        return [{"sha256": w["sha256"], "size": w["size"], "origin": f"wheel:{w['name']}"} for w in payload["wheels"]]
    if payload.get("method") == "push":
        return [
            {
                "sha256": f["digest"].removeprefix("sha256:"),
                "size": f["size"],
                "origin": f"model:{payload['origin']}/{f['path']}",
            }
            for f in payload["files"]
        ]
    return []


def artifact(plan: Plan, change: Change) -> wire.Transaction:
    after = change.after
    assert after is not None
    payload = dict(after.payload)
    steps = []
    wanted = blobs(after)
    if wanted:
        listed = [{"sha256": b["sha256"], "size": b["size"]} for b in wanted]
        steps.append(step("artifacts", "blob.receive", change, f"receive {after.name}", _HOUR, blobs=listed))
    if after.kind is Kind.TOOL:
        steps.append(step("artifacts", "tool.install", change, after.name, 300.0, **payload))
    elif after.kind is Kind.ENVIRONMENT:
        payload["requirements"] = plan.texts[payload["requirements"]]
        steps.append(step("artifacts", "env.build", change, after.name, _HOUR, **payload))
    else:
        kind = f"model.{payload['method']}"
        steps.append(step("artifacts", kind, change, after.name, 24 * _HOUR, **payload))
    needs = [n for n in after.needs if n in {c.address for c in plan.changes if c.host == change.host and c.after}]
    return {"id": change.address, "deployment": None, "needs": needs, "steps": steps}


def package(change: Change) -> wire.Transaction:
    steps = [step("artifacts", "package.install", change, f"install {change.name}", 900.0, name=change.name)]
    return {"id": change.address, "deployment": None, "needs": [], "steps": steps}


def gateway(plan: Plan, change: Change) -> wire.Transaction:
    """The fleet's HAProxy on this host: base configuration and unit, before any deployment's own file."""
    after = change.after
    assert after is not None
    unit, directory = after.payload["unit"], after.payload["config_dir"]
    steps = [_written("gateway", change, f) for f in after.payload["files"]]
    kept = {f["path"] for f in after.payload["files"]}
    gone = [f["path"] for f in change.before.payload["files"] if f["path"] not in kept] if change.before else []
    dropins = change.data.get("dropins", ())
    steps += [step("gateway", "file.remove", change, f"remove {path}", path=path) for path in (*gone, *dropins)]
    steps.append(step("gateway", "systemd.reload", change, "read units again"))
    steps.append(step("gateway", "gateway.reload", change, "start the gateway", unit=unit, config_dir=directory))
    steps.append(step("gateway", "unit.enable", change, f"enable {unit}", unit=unit))
    noted = record(plan, change.host, HOST_RECORD)
    steps.append(step("gateway", "record", change, "note it", deployment=HOST_RECORD, record=noted))
    needs = [c.address for c in plan.changes if c.host == change.host and c.address in after.needs and c.after]
    return {"id": change.address, "deployment": None, "needs": needs, "steps": steps}


def deployment(plan: Plan, host: str, name: str, changes: Sequence[Change], made: set[str]) -> wire.Transaction:
    """All that happens to one deployment on one host."""
    steps: list[wire.Step] = []
    replicas = [c for c in changes if c.kind is Kind.REPLICA]
    endpoints = [c for c in changes if c.kind is Kind.ENDPOINT]
    for change in replicas:
        if change.after is not None:
            steps += _switch(change)
    if any(s["kind"] == "unit.stop" for s in steps):
        steps = [*_answers_again(plan, host, name, replicas[0]), *steps]
    if not endpoints and any(s["kind"] == "unit.start" for s in steps):
        steps += _still_answers(plan, host, name, replicas[0])
    for change in endpoints:
        steps += _route(change)
    for change in replicas:
        steps += _settle(change)
    last = changes[-1]
    noted = record(plan, host, name)
    steps.append(step("finish", "record", last, "note the revision", deployment=name, record=noted))
    if noted is None:
        for what, root in (("history", wire.ROOT_STATE), ("caches", wire.ROOT_CACHE)):
            tree = f"{root}/{plan.fleet_name}/{name}"
            steps.append(step("finish", "tree.remove", last, f"remove its {what}", path=tree))
    wanted = {n for c in changes if c.after for n in c.after.needs} | {f"{Kind.GATEWAY}:gateway"}
    return {"id": name, "deployment": name, "needs": sorted(wanted & made), "steps": steps}


def _written(stage: str, change: Change, file: dict[str, Any]) -> wire.Step:
    args = {k: v for k, v in file.items() if k in ("path", "mode", "owner", "content", "secret")}
    return step(stage, "file.write", change, f"write {file['path']}", **args)


def _stop(stage: str, change: Change, resource: Resource) -> wire.Step:
    p = resource.payload
    ready = {"unit": p["unit"], **p["ready"]}
    timeout = float(p["stop_timeout_s"])
    label = f"stop {resource.name}"
    return step(stage, "unit.stop", change, label, timeout + 30.0, unit=p["unit"], timeout_s=timeout, ready=ready)


def _switch(change: Change) -> list[wire.Step]:
    """The files of the new one, the old one stops, the new one starts and answers."""
    before, after = change.before, change.after
    assert after is not None
    unit = after.payload["unit"]
    steps = [_written("switch", change, f) for f in after.payload["files"]]
    steps += [step("switch", "file.remove", change, f"remove {d}", path=d) for d in change.data.get("dropins", ())]
    steps.append(step("switch", "systemd.reload", change, "read units again"))
    restart = "create" in change.actions or (before is not None and before.runs != after.runs)
    if not restart:
        return steps
    if before is not None and before.runs:
        steps.append(_stop("switch", change, before))
    if after.runs:
        ready = after.payload["ready"]
        steps.append(step("switch", "unit.start", change, f"start {after.name}", unit=unit))
        deadline = float(ready["deadline_s"]) + 30.0
        steps.append(step("switch", "unit.ready", change, f"{after.name} answers", deadline, unit=unit, **ready))
    return steps


def _route(change: Change) -> list[wire.Step]:
    after, before = change.after, change.before
    resource = after or before
    assert resource is not None
    p = resource.payload
    if after is None:
        steps = [step("gateway", "file.remove", change, f"remove {f['path']}", path=f["path"]) for f in p["files"]]
        steps.append(step("gateway", "file.remove", change, "remove the keys", path=p["keys_path"]))
    else:
        keys = p["keys"]
        steps = [step("gateway", "file.remove", change, "remove the keys", path=p["keys_path"])]
        if keys:
            steps = [step("gateway", "gateway.keys", change, "write the keys", path=p["keys_path"], keys=keys)]
        steps += [_written("gateway", change, f) for f in p["files"]]
    reload = step("gateway", "gateway.reload", change, "reload the gateway", unit=p["unit"], config_dir=p["config_dir"])
    steps.append(reload)
    if after is not None and p.get("check"):
        steps.append(step("gateway", "endpoint.ready", change, "the endpoint answers", 90.0, **p["check"]))
    return steps


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


def _settle(change: Change) -> list[wire.Step]:
    """A boot brings back what answered: the new unit is enabled, the old one's traces go."""
    before, after = change.before, change.after
    steps: list[wire.Step] = []
    if after is not None:
        verb = "unit.enable" if after.runs else "unit.disable"
        steps.append(step("finish", verb, change, f"{verb.partition('.')[2]} {after.name}", unit=after.payload["unit"]))
    gone = before is not None and (after is None or before.payload["unit"] != after.payload["unit"])
    if before is None or not gone:
        return steps
    if after is None and before.runs:
        steps.append(_stop("finish", change, before))
    steps.append(step("finish", "unit.disable", change, f"disable {before.payload['unit']}", unit=before.payload["unit"]))
    kept = {f["path"] for f in after.payload["files"]} if after else set()
    files = [f["path"] for f in before.payload["files"] if f["path"] not in kept]
    steps += [step("finish", "file.remove", change, f"remove {path}", path=path) for path in (*files, *_folders(files))]
    steps.append(step("finish", "systemd.reload", change, "read units again"))
    return steps


def _folders(paths: Sequence[str]) -> list[str]:
    """Folders of ours that may be empty now, deepest first; one that is not empty stays."""
    ours = f"{wire.ROOT_ETC}/"
    folders = {p.rpartition("/")[0] for p in paths if p.startswith(ours)}
    parents = {f.rpartition("/")[0] for f in folders}
    both = {f for f in folders | parents if f.count("/") >= ours.count("/") + 1}
    return sorted(both, key=lambda f: (-f.count("/"), f))


def removal(change: Change, before: Resource) -> wire.Transaction:
    p = before.payload
    if before.kind is Kind.GATEWAY:
        steps = [
            step("finish", "unit.stop", change, "stop the gateway", unit=p["unit"], timeout_s=30.0, ready=None),
            step("finish", "unit.disable", change, "disable the gateway", unit=p["unit"]),
        ]
        files = [f["path"] for f in p["files"]]
        steps += [step("finish", "file.remove", change, f"remove {path}", path=path) for path in files]
        steps.append(step("finish", "tree.remove", change, "remove its folder", path=p["config_dir"]))
        steps.append(step("finish", "systemd.reload", change, "read units again"))
        steps.append(step("finish", "record", change, "forget it", deployment=HOST_RECORD, record=None))
    elif before.kind is Kind.PACKAGE:
        steps = [step("finish", "package.remove", change, f"remove {before.name}", 900.0, name=before.name)]
    elif p.get("agent"):
        steps = [step("finish", "tree.remove", change, f"remove {tree}", path=tree) for tree in p["trees"]]
        steps.append(step("finish", "agent.remove", change, "remove our own traces"))
    else:
        steps = [step("finish", "artifact.remove", change, f"remove {before.name}", 600.0, path=p["path"])]
    return {"id": f"remove {change.address}", "deployment": None, "needs": [], "steps": steps}
