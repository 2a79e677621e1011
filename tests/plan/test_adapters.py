"""LoRA adapters in a plan: artifacts like models, names of the endpoint, and no new process for another list."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployer.engines.base import Complaint
from deployer.plan.make import make_plan
from deployer.plan.model import Plan
from deployer.plan.needs import needed
from deployer.plan.steps import transactions
from deployer.plan.world import World
from deployer.spec.models import AdapterSpec, DeploymentSpec, EndpointSpec, SecretRef
from deployer.state.locked import AdapterFacts, LockedFile, LockedModel, ModelFacts
from deployer.state.resources import Kind
from tests.plan.worlds import Toy, WorldMaker, deployment

SQL, STYLE = AdapterSpec(name="sql", path="adapters/sql"), AdapterSpec(name="style", path="adapters/style")


@dataclass(frozen=True)
class LoraToy(Toy):
    says: tuple[Complaint, ...] = ()

    def check_adapter(
        self, deployment: DeploymentSpec, number: int, base: LockedModel | None, adapter: LockedModel
    ) -> Sequence[Complaint]:
        return self.says


def locked_adapter(name: str) -> LockedModel:
    files = (LockedFile("adapter_config.json", 10, "sha256:" + "1" * 64),)
    facts = ModelFacts(adapter=AdapterFacts("models/tiny", 8))
    return LockedModel(f"path:adapters/{name}", "path", f"adapters/{name}", None, None, name[0] * 64, files, facts)


def world(maker: WorldMaker, engine: Toy | None = None, **changes: Any) -> World:
    made = maker.world(engines={"toy": engine or LoraToy()}, **changes)
    more = {m.key: m for m in (locked_adapter("sql"), locked_adapter("style"))}
    return replace(made, locked=replace(made.locked, models={**made.locked.models, **more}))


def steps(plan: Plan) -> list[dict[str, Any]]:
    return [s for t in transactions(plan, "h1") for s in t["steps"]]  # type: ignore[misc]


def test_adapters_come_as_artifacts_and_their_names_lead_to_the_deployment() -> None:
    plan = make_plan(world(WorldMaker([deployment(adapters=(SQL, STYLE), endpoint=EndpointSpec(open=True, model_names=("m",)))])))
    assert plan.refusals == ()
    brought = {c.name for c in plan.changes if c.kind is Kind.MODEL}
    assert brought == {"local--tiny/dddddddddddd", "local--sql/ssssssssssss", "local--style/ssssssssssss"}
    (endpoint,) = (c.after for c in plan.changes if c.kind is Kind.ENDPOINT)
    assert endpoint is not None
    assert endpoint.payload["models"] == ["chat", "m", "sql", "style"]
    (replica,) = (c.after for c in plan.changes if c.kind is Kind.REPLICA)
    assert replica is not None
    assert {f"model:{name}" for name in brought} <= set(replica.needs), "so that nobody prunes them"
    assert not [s for s in steps(plan) if s["kind"] == "unit.adapters"], "a new process reads them in its files"


def test_another_list_is_told_to_the_running_engine() -> None:
    maker = WorldMaker([deployment(adapters=(SQL,))])
    maker.done(make_plan(world(maker)))
    maker.deployments = [deployment(adapters=(STYLE,))]
    plan = make_plan(world(maker))
    (change,) = (c for c in plan.changes if c.kind is Kind.REPLICA)
    assert (change.actions, change.reason, change.impact.restarts) == (("update",), "adapters changed", 0)
    assert [(d.before, d.after) for d in change.deltas] == [("sql sssssss", "style sssssss")]
    found = steps(plan)
    kinds = [s["kind"] for s in found]
    (told,) = (s for s in found if s["kind"] == "unit.adapters")
    assert told["args"]["adapters"] == [{"name": "style", "path": "/var/lib/deployer/models/local--style/ssssssssssss"}]
    assert kinds.index("model.push") < kinds.index("unit.adapters") < kinds.index("gateway.reload")
    assert "unit.start" not in kinds
    assert "unit.stop" not in kinds
    maker.done(plan)
    assert make_plan(world(maker)).changes == ()


def test_the_last_adapter_goes_the_same_way() -> None:
    maker = WorldMaker([deployment(adapters=(SQL,))])
    maker.done(make_plan(world(maker)))
    maker.deployments = [deployment()]
    (told,) = (s for s in steps(make_plan(world(maker))) if s["kind"] == "unit.adapters")
    assert told["args"]["adapters"] == []


def test_what_the_engine_says_of_an_adapter_is_a_refusal_at_its_line() -> None:
    says = (Complaint(("adapters", 0), "no", "another"),)
    (refusal,) = make_plan(world(WorldMaker([deployment(adapters=(SQL,))]), LoraToy(says=says))).refusals
    assert (refusal.code, refusal.what, refusal.hint) == ("adapter", "chat: no", "another")


def test_an_adapter_is_no_model() -> None:
    maker = WorldMaker()
    made = world(maker)
    alone = replace(locked_adapter("sql"), key="path:models/tiny")
    made = replace(made, locked=replace(made.locked, models={alone.key: alone}))
    assert [r.hint for r in make_plan(made).refusals] == ["serve its base model, and name it under adapters"]


def test_the_lock_is_asked_for_each_adapter_with_its_token_or_the_models() -> None:
    own = AdapterSpec(name="a", repo="org/a", token=SecretRef(env="A"))
    fleet = WorldMaker([deployment(adapters=(own, SQL))]).world().fleet
    found = {m.need.key: (m.token.id if m.token else None, m.path) for m in needed(fleet, {"toy": LoraToy()}).models}
    assert found["hub:org/a@main"] == ("env:A", ("adapters", 0))
    assert found["path:adapters/sql"] == (None, ("adapters", 1))
