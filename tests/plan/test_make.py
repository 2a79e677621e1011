"""From YAML's values to a plan, situation by situation."""

from dataclasses import replace

import pytest

from deployer.plan.codec import from_json, to_json
from deployer.plan.make import make_plan
from deployer.plan.steps import blobs_needed, transactions
from deployer.plan.text import render
from deployer.plan.world import HoldRequest, Options
from deployer.spec.models import ApiKey, EndpointSpec, Logging, Placement
from deployer.state.observed import Unreached
from tests.plan.worlds import WorldMaker, deployment, host, probe


def applied(maker: WorldMaker) -> WorldMaker:
    maker.done(make_plan(maker.world()))
    return maker


def kinds(plan, action=None):  # type: ignore[no-untyped-def]
    return sorted(f"{c.host} {c.address}" for c in plan.changes if action is None or action in c.actions)


def test_an_empty_host_gets_everything_and_the_second_plan_is_empty() -> None:
    maker = WorldMaker()
    plan = make_plan(maker.world())
    assert [str(c.kind) for c in plan.changes] == [
        "package", "tool", "tool", "environment", "model", "gateway", "replica", "endpoint", "deployment",
    ]  # fmt: skip
    assert plan.refusals == ()
    maker.done(plan)
    after = make_plan(maker.world())
    assert after.changes == ()
    assert after.drift == ()
    assert after.roster == plan.roster


def test_a_change_of_a_setting_is_one_line_with_its_place() -> None:
    maker = applied(WorldMaker())
    maker.deployments = [deployment(engine={"context": 2048})]
    plan = make_plan(maker.world())
    (change,) = [c for c in plan.changes if c.kind == "replica"]
    assert change.actions == ("delete", "create")
    assert [(d.name, d.before, d.after) for d in change.deltas if d.restarts] == [("context", 1024, 2048)]
    assert str(change.source) == "deployments/chat.yaml:6"
    assert {c.kind for c in plan.changes} <= {"replica", "endpoint"}


def test_a_replica_that_starts_anew_behind_a_route_that_stays_is_asked_for_through_the_endpoint_too() -> None:
    maker = applied(WorldMaker())
    unit = next(u for u in maker.probes["h1"]["units"] if "-chat-0-" in u["name"])
    unit["active"] = "failed"
    plan = make_plan(maker.world())
    assert kinds(plan) == ["h1 replica:chat/0"]
    found = [(s["stage"], s["kind"]) for t in transactions(plan, "h1") for s in t["steps"]]
    assert found.index(("gateway", "endpoint.ready")) > found.index(("switch", "unit.ready"))


def test_a_new_description_restarts_nothing() -> None:
    maker = applied(WorldMaker())
    maker.deployments = [deployment(description="Team chat", tags=("prod",))]
    plan = make_plan(maker.world())
    assert kinds(plan) == ["h1 deployment:chat"]
    assert plan.changes[0].impact.restarts == 0
    (transaction,) = transactions(plan, "h1")
    assert [s["kind"] for s in transaction["steps"]] == ["record"]


def test_a_unit_of_which_systemd_says_nothing_is_neither_down_nor_changed() -> None:
    maker = applied(WorldMaker())
    for unit in maker.probes["h1"]["units"]:
        unit |= {"active": "unknown", "enabled": False, "dropins": []}
    plan = make_plan(maker.world())
    assert (plan.changes, plan.drift) == ((), ())


def test_a_drop_in_is_drift_and_is_put_back() -> None:
    maker = applied(WorldMaker())
    unit = next(u for u in maker.probes["h1"]["units"] if "-chat-0-" in u["name"])
    unit["dropins"] = [f"/etc/systemd/system/{unit['name']}.d/override.conf"]
    plan = make_plan(maker.world())
    assert [d.what.split(" has ")[1] for d in plan.drift] == ["a drop-in: override.conf"]
    assert kinds(plan, "create") == ["h1 replica:chat/0"]
    steps = [s for t in transactions(plan, "h1") for s in t["steps"]]
    assert {"kind": "file.remove", "path": unit["dropins"][0]} in [
        {"kind": s["kind"], "path": s["args"].get("path")} for s in steps
    ]


def test_an_orphan_is_shown_and_removed_only_with_prune() -> None:
    maker = applied(WorldMaker())
    maker.deployments = []
    plan = make_plan(maker.world())
    assert plan.changes == ()
    assert [n.code for n in plan.notices] == ["orphan"]
    pruned = make_plan(maker.world(options=Options(prune=True)))
    assert all(c.actions == ("delete",) for c in pruned.changes)
    assert {"replica:chat/0", "endpoint:chat", "deployment:chat", "gateway:gateway"} <= {c.address for c in pruned.changes}


@pytest.mark.parametrize("sink", ["file", "journald"])
def test_files_of_a_request_log_go_with_the_deployment_and_the_plan_says_so(sink: str) -> None:
    maker = applied(WorldMaker(deployments=[deployment(logging=Logging(requests="metadata", sink=sink))]))
    maker.deployments = []
    plan = make_plan(maker.world(options=Options(prune=True)))
    said = "chat: its history and the files of its request log on the host"
    assert (said in render(plan)) == (sink == "file")
    (chat,) = [t for t in transactions(plan, "h1") if t["id"] == "chat"]
    stops, removed = ([n for n, s in enumerate(chat["steps"]) if s["kind"] == kind] for kind in ("unit.stop", "tree.remove"))
    assert {"/var/lib/deployer/acme/chat", "/var/cache/deployer/acme/chat", "/var/log/deployer/acme/chat"} == {
        chat["steps"][n]["args"]["path"] for n in removed
    }
    assert max(stops) < min(removed)


def test_what_is_protected_on_the_host_outlives_its_file() -> None:
    maker = applied(WorldMaker(deployments=[deployment(protected=True)]))
    maker.deployments = []
    plan = make_plan(maker.world(options=Options(prune=True)))
    assert [r.code for r in plan.refusals] == ["protected"]


def test_a_host_that_does_not_answer_keeps_its_slots() -> None:
    maker = WorldMaker(
        deployments=[deployment(), deployment("draft")],
        hosts=[host("h1", gateway=True), host("h2")],
        probes={"h1": probe("h1"), "h2": probe("h2")},
    )
    applied(maker)
    places = dict(make_plan(maker.world()).roster)["slots"]
    silent = next(iter({p["0"]["host"] for p in places.values()} - {"h1"}))
    del maker.probes[silent]
    maker.unreached = {silent: Unreached(silent, "timeout", "timed out after 5 s")}
    plan = make_plan(maker.world())
    assert plan.changes == ()
    assert plan.unreachable == (silent,)
    assert plan.roster["slots"] == places


def test_one_stopped_by_hand_stays_stopped_until_it_is_released() -> None:
    maker = applied(WorldMaker())
    stop = HoldRequest("chat", "stopped", "ada@desk", "noisy")
    plan = make_plan(maker.world(options=Options(holds=(stop,))))
    assert [c.reason for c in plan.changes if c.kind == "replica"] == ["stopped"]
    maker.done(plan)
    again = make_plan(maker.world())
    assert again.changes == ()
    assert [n.code for n in again.notices] == ["hold"]
    released = make_plan(maker.world(options=Options(release=("chat",))))
    assert [c.reason for c in released.changes if c.kind == "replica"] == ["started again"]


def test_a_restart_that_is_asked_for_is_one_new_process_and_nothing_else() -> None:
    maker = applied(WorldMaker([deployment("a"), deployment("b")]))
    plan = make_plan(maker.world(options=Options(names=("a",), restart=("a",))))
    (change,) = plan.changes
    assert (change.address, change.actions, change.deltas) == ("replica:a/0", ("delete", "create"), ())
    assert change.reason.startswith("restart asked for by ")
    assert change.impact.restarts == 1
    maker.done(plan)
    assert make_plan(maker.world()).changes == ()


def test_what_is_stopped_is_not_restarted() -> None:
    maker = applied(WorldMaker())
    maker.done(make_plan(maker.world(options=Options(holds=(HoldRequest("chat", "stopped", "ada@desk"),)))))
    assert make_plan(maker.world(options=Options(names=("chat",), restart=("chat",)))).changes == ()


def test_a_hold_on_what_is_gone_from_files_and_hosts_is_gone_too() -> None:
    maker = applied(WorldMaker([deployment("a"), deployment("b")]))
    plan = make_plan(maker.world(options=Options(holds=(HoldRequest("b", "destroyed", "ada@desk"),))))
    assert {c.deployment for c in plan.changes} == {"b"}
    maker.done(plan)
    assert [n.deployment for n in make_plan(maker.world()).notices if n.code == "hold"] == ["b"]
    maker.deployments = [deployment("a")]
    assert make_plan(maker.world()).notices == ()


def test_replicas_on_several_hosts_need_a_named_gateway() -> None:
    two = [host("h1"), host("h2")]
    maker = WorldMaker([deployment(replicas=2)], two, {"h1": probe("h1"), "h2": probe("h2")})
    plan = make_plan(maker.world())
    assert [r.code for r in plan.refusals] == ["gateway"]
    maker.hosts[0] = host("h1", gateway=True)
    assert make_plan(maker.world()).refusals == ()


def test_no_free_gpu_is_refused_host_by_host() -> None:
    maker = WorldMaker([deployment(engine={"gpus": 2})], [host("h1")], {"h1": probe("h1", gpus=1)})
    (refusal,) = make_plan(maker.world()).refusals
    assert refusal.code == "placement"
    assert refusal.details == ("h1: 1 of 1 GPUs free, 2 wanted",)


def test_two_deployments_never_share_a_gpu_or_a_port() -> None:
    names = [deployment(n, engine={"gpus": 1}) for n in ("a", "b", "c")]
    plan = make_plan(WorldMaker(names, [host("h1")], {"h1": probe("h1", gpus=3)}).world())
    replicas = [c.after.payload for c in plan.changes if c.kind == "replica" and c.after]
    assert len({p["port"] for p in replicas}) == 3
    assert len({g for p in replicas for g in p["gpus"]}) == 3


def test_a_port_somebody_listens_on_is_not_taken() -> None:
    busy = probe(listening=[{"port": 20000, "address": "0.0.0.0", "unit": None}])
    plan = make_plan(WorldMaker(probes={"h1": busy}).world())
    assert [c.after.payload["port"] for c in plan.changes if c.kind == "replica" and c.after] == [20001]


def test_a_port_of_ours_that_somebody_else_took_is_refused_and_our_own_unit_may_have_it() -> None:
    maker = applied(WorldMaker())
    maker.deployments = [deployment(engine={"context": 2048})]
    (unit,) = [u["name"] for u in maker.probes["h1"]["units"] if "-chat-0-" in u["name"]]
    taken = {"port": 20000, "address": "127.0.0.1"}
    maker.probes["h1"]["listening"] = [{**taken, "unit": unit}]
    assert make_plan(maker.world()).refusals == ()
    maker.probes["h1"]["listening"] = [{**taken, "unit": None}]
    (refusal,) = make_plan(maker.world()).refusals
    assert (refusal.code, refusal.host) == ("port", "h1")


def test_a_taken_port_does_not_refuse_what_starts_nothing() -> None:
    maker = applied(WorldMaker())
    maker.deployments = [deployment(description="Team chat")]
    maker.probes["h1"]["listening"] = [{"port": 20000, "address": "127.0.0.1", "unit": None}]
    assert make_plan(maker.world()).refusals == ()


def test_the_gateways_port_must_be_free_when_it_starts() -> None:
    busy = probe(listening=[{"port": 8443, "address": "0.0.0.0", "unit": None}])
    (refusal,) = make_plan(WorldMaker(probes={"h1": busy}).world()).refusals
    assert refusal.code == "port"
    assert "8443" in refusal.what
    assert "gateway" in (refusal.hint or "")


def test_an_apply_that_goes_on_is_said_and_what_it_touches_is_no_drift() -> None:
    maker = applied(WorldMaker())
    run = {"run": "r1", "who": "ada", "since": "2026-11-20T11:00:00Z", "stage": "switch", "deployments": ["chat"], "alive": True}
    maker.probes["h1"]["unfinished"] = [run]
    for unit in maker.probes["h1"]["units"]:
        unit["active"] = "inactive" if "-chat-0-" in unit["name"] else unit["active"]
    plan = make_plan(maker.world())
    assert (plan.changes, plan.drift) == ((), ())
    assert [n.what for n in plan.notices] == ["an apply by ada is going on on h1 since 2026-11-20T11:00:00Z"]
    assert "deployer attach" in render(plan)


def test_a_full_disk_is_refused() -> None:
    full = probe(disks={"/var/lib/deployer/models": {"total": 10**9, "free": 10**8}})
    assert [r.code for r in make_plan(WorldMaker(probes={"h1": full}).world()).refusals] == ["disk"]


def test_a_checkout_that_is_behind_is_refused() -> None:
    maker = WorldMaker()
    git = replace(maker.world().git, ancestors={"a" * 40: False})
    assert [r.code for r in make_plan(maker.world(git=git)).refusals] == ["divergent"]
    assert make_plan(maker.world(git=git, options=Options(allow_divergent=True))).refusals == ()


def test_a_conversion_brings_its_converter_only_while_it_is_needed() -> None:
    maker = WorldMaker([deployment(engine={"convert": True})])
    plan = make_plan(maker.world())
    assert sum(c.kind == "environment" for c in plan.changes) == 2
    assert sum(c.kind == "model" for c in plan.changes) == 2
    maker.done(plan)
    maker.deployments.append(deployment("second", engine={"convert": True}))
    second = make_plan(maker.world())
    assert not [c for c in second.changes if c.kind in ("environment", "model")]


@pytest.mark.parametrize("start", ["0", "8", "f"])
def test_a_model_is_brought_before_what_is_made_of_it_whatever_their_digests_are(start: str) -> None:
    maker = WorldMaker([deployment(engine={"convert": True})])
    known = maker.world().locked
    models = {key: replace(model, digest=start * 64) for key, model in known.models.items()}
    found = transactions(make_plan(maker.world(locked=replace(known, models=models))), "h1")
    places = {transaction["id"]: number for number, transaction in enumerate(found)}
    assert sum(name.startswith("model:") for name in places) == 2
    assert all(places[need] < places[t["id"]] for t in found for need in t["needs"])


def test_an_unfinished_run_is_undone_first() -> None:
    maker = applied(WorldMaker())
    run = {"run": "r1", "who": "ada", "since": "2026-11-20T11:00:00Z", "stage": "switch", "deployments": ["chat"], "alive": False}
    maker.probes["h1"]["unfinished"] = [run]
    plan = make_plan(maker.world())
    assert plan.changes[0].actions == ("undo",)
    first, *others = transactions(plan, "h1")
    assert [s["kind"] for s in first["steps"]] == ["run.undo"]
    assert all(first["id"] in t["needs"] for t in others)


def test_a_saved_plan_is_the_same_plan() -> None:
    plan = make_plan(WorldMaker().world())
    again = from_json(to_json(plan))
    assert to_json(again) == to_json(plan)
    assert transactions(again, "h1") == transactions(plan, "h1")
    assert {b["origin"] for b in blobs_needed(again, "h1")} == {
        "tool:uv", "tool:serve", "model:models/tiny/config.json", "model:models/tiny/model.safetensors",
    }  # fmt: skip


def test_a_secret_that_is_not_at_hand_stays_as_it_is_on_the_host() -> None:
    from deployer.spec.models import SecretRef

    key = ApiKey(name="team", secret=SecretRef(env="TEAM_KEY"))
    maker = WorldMaker([deployment(endpoint=EndpointSpec(keys=(key,)))])
    with_key = {("h1", "env:TEAM_KEY"): "9c1e47ab"}
    maker.done(make_plan(maker.world(secrets=with_key)))
    assert make_plan(maker.world(secrets=with_key)).changes == ()
    assert make_plan(maker.world(secrets={("h1", "env:TEAM_KEY"): None})).changes == ()
    changed = make_plan(maker.world(secrets={("h1", "env:TEAM_KEY"): "47ab9c1e"}))
    assert [d.secret for c in changed.changes for d in c.deltas] == [True]
    assert "secret 9c1e → secret 47ab" in render(changed)


def test_other_deployments_are_left_alone_when_one_is_named() -> None:
    maker = applied(WorldMaker([deployment("a"), deployment("b")]))
    maker.deployments = [deployment("a", engine={"context": 9}), deployment("b", engine={"context": 9})]
    plan = make_plan(maker.world(options=Options(names=("a",))))
    assert {c.deployment for c in plan.changes} == {"a"}
    assert set(plan.roster["slots"]) == {"a", "b"}


@pytest.mark.parametrize("label", ["gpu"])
def test_labels_choose_the_host(label: str) -> None:
    hosts = [host("h1"), host("h2", labels={label: "h100"})]
    maker = WorldMaker([deployment(placement=Placement(labels={label: "h100"}))], hosts, {"h1": probe("h1"), "h2": probe("h2")})
    assert {c.host for c in make_plan(maker.world()).changes} == {"h2"}


def test_a_rename_is_refused_aloud_until_it_is_a_move() -> None:
    maker = applied(WorldMaker())
    maker.deployments = [deployment("talk", previous_names=("chat",))]
    (refusal,) = make_plan(maker.world()).refusals
    assert refusal.what == "talk: previous_names is not supported yet"
