"""The steps of one transaction each: an artifact, a package, the gateway, a deployment, a removal."""

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
    if resource.kind is Kind.SCRIPTS:
        return [
            {"sha256": f["digest"].removeprefix("sha256:"), "size": f["size"], "origin": f"scripts:{f['source']}"}
            for f in payload["files"]
        ]
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
    elif after.kind is Kind.SCRIPTS:
        steps.append(step("artifacts", "scripts.push", change, after.name, 300.0, **payload))
    else:
        kind, stage = f"model.{payload['method']}", "copies" if payload["method"] == "copy" else "artifacts"
        steps.append(step(stage, kind, change, after.name, 24 * _HOUR, **payload))
    needs = [n for n in after.needs if n in {c.address for c in plan.changes if c.host == change.host and c.after}]
    return {"id": change.address, "deployment": None, "needs": needs, "steps": steps}


def package(change: Change) -> wire.Transaction:
    steps = [step("artifacts", "package.install", change, f"install {change.name}", 900.0, name=change.name)]
    return {"id": change.address, "deployment": None, "needs": [], "steps": steps}


def gateway(plan: Plan, change: Change) -> wire.Transaction:
    """The fleet's HAProxy on this host: base configuration and unit, before any deployment's own file. A new one stands
    before any other gateway sends something to it.
    """
    after = change.after
    assert after is not None
    stage = "switch" if change.before is None else "gateway"
    unit, directory = after.payload["unit"], after.payload["config_dir"]
    steps = [written(stage, change, f) for f in after.payload["files"]]
    if after.payload.get("peers"):
        steps.append(step(stage, "gateway.peers", change, "the other hosts' gateways", hosts=dict(after.payload["peers"])))
    kept = {f["path"] for f in after.payload["files"]}
    gone = [f["path"] for f in change.before.payload["files"] if f["path"] not in kept] if change.before else []
    dropins = change.data.get("dropins", ())
    steps += [step(stage, "file.remove", change, f"remove {path}", path=path) for path in (*gone, *dropins)]
    steps.append(step(stage, "systemd.reload", change, "read units again"))
    steps.append(step(stage, "gateway.reload", change, "start the gateway", unit=unit, config_dir=directory))
    steps.append(step(stage, "unit.enable", change, f"enable {unit}", unit=unit))
    noted = record(plan, change.host, HOST_RECORD)
    steps.append(step(stage, "record", change, "note it", deployment=HOST_RECORD, record=noted))
    needs = [c.address for c in plan.changes if c.host == change.host and c.address in after.needs and c.after]
    return {"id": change.address, "deployment": None, "needs": needs, "steps": steps}


def written(stage: str, change: Change, file: dict[str, Any]) -> wire.Step:
    args = {k: v for k, v in file.items() if k in ("path", "mode", "owner", "content", "secret")}
    return step(stage, "file.write", change, f"write {file['path']}", **args)


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
    elif before.kind is Kind.HISTORY:
        steps = [step("finish", "revisions.drop", change, f"forget old revisions of {before.name}", **p)]
    elif before.kind is Kind.PACKAGE:
        steps = [step("finish", "package.remove", change, f"remove {before.name}", 900.0, name=before.name)]
    elif p.get("agent"):
        steps = [step("finish", "tree.remove", change, f"remove {tree}", path=tree) for tree in p["trees"]]
        steps.append(step("finish", "agent.remove", change, "remove our own traces"))
    else:
        steps = [step("finish", "artifact.remove", change, f"remove {before.name}", 600.0, path=p["path"])]
    return {"id": f"remove {change.address}", "deployment": None, "needs": [], "steps": steps}
