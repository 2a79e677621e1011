"""Findings that a simulated host cannot provoke: of hubs and tokens, of file systems, and how findings go into a plan."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.agent.wire import Answer
from deployer.plan import preflight
from deployer.plan.make import make_plan
from deployer.plan.model import Finding, Refusal
from deployer.plan.preflight import ways
from deployer.plan.preflight.cuda import cuda_of
from deployer.plan.preflight.finding import by_place, everything, of_refusal
from deployer.plan.preflight.subject import subjects
from deployer.plan.roster import from_json
from deployer.plan.world import Options
from deployer.spec.models import ModelSpec, Resources, SecretRef
from deployer.state.locked import Locked, LockedFile, LockedModel, ModelFacts
from tests.plan.worlds import GIB, WorldMaker, deployment, host, locked, probe

REPO = LockedModel(
    "hub:org/big@main", "hub", "org/big", "main", "c" * 40, "d" * 64, (), ModelFacts(gated=True, license="llama3.1")
)


def gated(*, token: bool = False, hub_url: str | None = None, files: tuple[str, ...] = ()) -> Any:
    secret = {"token": SecretRef(env="HF_TOKEN")} if token else {}
    model = ModelSpec(repo="org/big", accept_license="llama3.1", **secret)
    maker = WorldMaker([deployment(model=model)], [host(hub_url=hub_url)])
    known = locked()
    repo = replace(REPO, files=tuple(LockedFile(name, 1, "sha256:0") for name in files))
    return maker.world(locked=Locked({**known.models, repo.key: repo}, known.environments, known.tools))


@pytest.mark.parametrize(
    ("token", "hub_url", "severities"),
    [(False, None, ["refuse"]), (True, None, []), (False, "https://hub.acme.lan", ["warn"])],
)
def test_a_gated_model_wants_a_token(token: bool, hub_url: str | None, severities: list[str]) -> None:
    plan = make_plan(gated(token=token, hub_url=hub_url))
    found = [f for f in everything(plan) if f.id == "token"]
    assert [f.severity for f in found] == severities
    assert all(f.what == "chat: org/big is gated, and no token is named for it" for f in found)
    assert all(str(f.source) == "deployments/chat.yaml:4" for f in found)
    assert [r.code for r in plan.refusals] == (["token"] if severities == ["refuse"] else [])


def asked(**more: Any) -> list[ways.Way]:
    world = gated(**more)
    plan = make_plan(world)
    return ways.ways(world, subjects(world, from_json(plan.roster).places), plan.changes)["h1"]


def test_the_ways_of_a_host_are_those_of_what_it_serves() -> None:
    found = asked(token=True)
    assert [(w.kind, w.shown, w.token, w.needed) for w in found] == [
        ("hub", "https://huggingface.co", "env:HF_TOKEN", True),
        ("index", "that its own environment names", None, True),
    ]
    assert found[0].url == f"https://huggingface.co/org/big/resolve/{'c' * 40}/config.json"
    [hub, _] = asked(token=True, files=("a b.gguf", "b.gguf"))
    assert hub.url.endswith("/a%20b.gguf")
    assert "secret" not in ways.Way("i", "h1", "index", "https://me:secret@index.lan/simple/", "chat").shown


def test_only_what_a_plan_fetches_is_needed_from_the_hub() -> None:
    """A repository that the host has already is asked for too, and what it says keeps nothing from being applied."""
    world = gated(token=True)
    other = replace(REPO, key="hub:org/new@main", name="org/new", digest="e" * 64, facts=ModelFacts())
    maker = WorldMaker([deployment("old", model=ModelSpec(repo="org/big")), deployment("new", model=ModelSpec(repo="org/new"))])
    known = Locked({**world.locked.models, other.key: other}, world.locked.environments, world.locked.tools)
    maker.probes["h1"]["artifacts"] = [
        {
            "path": f"/var/lib/deployer/models/org--big/{'d' * 12}",
            "kind": "model",
            "name": "org--big/" + "d" * 12,
            "complete": True,
        }
    ]
    both = maker.world(locked=known)
    plan = make_plan(both)
    found = ways.ways(both, subjects(both, from_json(plan.roster).places), plan.changes)["h1"]
    assert {way.about: way.needed for way in found if way.kind == "hub"} == {"org/big": False, "org/new": True}


@pytest.mark.parametrize(
    ("token", "state", "status", "id_", "what", "do"),
    [
        (True, "refused", 403, "token", "with the token env:HF_TOKEN (it answers 403)", "accept its licence"),
        (False, "refused", 401, "token", "without a token (it answers 401)", "write model.token"),
        (
            True,
            "refused",
            404,
            "hub",
            "has no org/big at the commit that deployer.lock pins",
            "deployer lock --upgrade hub:org/big@main",
        ),
        (True, "tls", None, "hub", "h1 does not reach the hub https://huggingface.co: x", "ca: in hosts/h1.yaml"),
        (True, "refused", 503, "hub", "h1 does not reach the hub https://huggingface.co: x", "hub_url: in hosts/h1.yaml"),
    ],
)
def test_what_an_answer_means(token: bool, state: str, status: int | None, id_: str, what: str, do: str) -> None:
    mine = asked(token=token)
    answers: list[Answer] = [{"id": mine[0].id, "state": state, "status": status, "ms": 3, "message": "x"}]
    answers.append({"id": mine[1].id, "state": "ok", "status": 200, "ms": 1, "message": ""})
    [found] = ways.findings({"h1": mine}, {"h1": answers})
    assert (found.id, found.severity) == (id_, "refuse")
    assert what in found.what
    assert do in found.do
    [later] = ways.findings({"h1": [replace(mine[0], needed=False)]}, {"h1": answers})
    assert later.severity == "warn"
    assert list(ways.findings({"h1": mine}, {})) == [], "a host that was not heard says nothing"


def disks(maker: WorldMaker, free: int, **devices: int) -> None:
    roots = {"engines": "/opt/deployer/engines", "models": "/var/lib/deployer/models", "state": "/var/lib/deployer"}
    maker.probes["h1"]["disks"] = {roots[name]: {"total": 2 * free, "free": free} for name in devices}
    maker.probes["h1"]["devices"] = {roots[name]: number for name, number in devices.items()}


def of_disk(maker: WorldMaker) -> list[Finding]:
    return [f for f in everything(make_plan(maker.world())) if f.id == "disk"]


def test_what_lands_on_one_file_system_is_counted_together() -> None:
    """7 MiB of model, which are on their way in the state's folder where that is another file system."""
    maker = WorldMaker()
    room = 512 * 1024**2 + 7 * 1024**2
    disks(maker, room, models=1, engines=2, state=3)
    found = of_disk(maker)
    assert [f.what for f in found] == [
        "not enough disk on h1 for " + root for root in ("/var/lib/deployer", "/var/lib/deployer/models")
    ]
    assert "on its way" in found[0].why
    disks(maker, room + 1024**2, models=1, engines=2, state=3)
    assert of_disk(maker) == []
    disks(maker, room + 1000, models=1, engines=1, state=1)
    [one] = of_disk(maker)
    assert one.what == "not enough disk on h1 for /opt/deployer/engines and /var/lib/deployer/models"


@pytest.mark.parametrize("only", [(), ("new",)])
def test_memory_that_is_promised_to_those_that_run_counts_for_one_that_starts(only: tuple[str, ...]) -> None:
    """However small the part of the fleet is that the plan is about."""
    promise = Resources(memory=20 * GIB)
    maker = WorldMaker([deployment("a", resources=promise), deployment("b", resources=promise)])
    maker.probes["h1"]["memory_total"] = 50 * GIB
    assert [f for f in everything(make_plan(maker.world())) if f.id == "memory"] == []
    maker.done(make_plan(maker.world()))
    maker.deployments.append(deployment("new", resources=promise))
    [found] = [f for f in everything(make_plan(maker.world(options=Options(names=only)))) if f.id == "memory"]
    assert found.what == "a/0, b/0, new/0 may take 60.0 GiB of memory together, and h1 has 50.0 GiB"


def test_a_disk_that_is_full_is_said_whatever_a_plan_brings() -> None:
    maker = WorldMaker()
    disks(maker, 512 * 1024**2 - 1, models=1)
    [found] = preflight.of_fleet(maker.world(), ())
    assert (found.id, found.severity, found.what) == ("disk", "warn", "/var/lib/deployer/models of h1 has 512.0 MiB left")
    disks(maker, 512 * 1024**2, models=1)
    assert preflight.of_fleet(maker.world(), ()) == ()


def test_an_environment_counts_once_another_host_has_built_one() -> None:
    maker = WorldMaker(hosts=[host(), host("h2", state="cordoned")], probes={"h1": probe(), "h2": probe("h2")})
    disks(maker, 2 * GIB, models=1, engines=1, state=1)
    assert of_disk(maker) == []
    name = next(c.name for c in make_plan(maker.world()).changes if c.name.startswith("toy-1.0"))
    maker.probes["h2"]["artifacts"] = [
        {"path": f"/opt/deployer/engines/{name}", "kind": "environment", "name": name, "complete": True, "bytes": 9 * GIB}
    ]
    [found] = of_disk(maker)
    assert f"{name} (as on h2) 9.0 GiB" in found.why


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nvidia-cuda-runtime==13.0.96 --hash=sha256:0\n", ("nvidia-cuda-runtime", (13, 0))),
        ("a==1\nnvidia-cuda-runtime-cu12==12.8.90\n", ("nvidia-cuda-runtime-cu12", (12, 8))),
        ("cuda-toolkit==13.0.2\n", ("cuda-toolkit", (13, 0))),
        ("torch==2.13.0+cu129\n", ("torch", (12, 9))),
        ("torch==2.13.0+cpu\n", None),
        ("nvidia-cublas-cu12==12.9.3.13\n", ("nvidia-cublas-cu12", (12, None))),
        ("my-nvidia-cuda-runtime==1.2.3\n", None),
    ],
)
def test_the_cuda_of_pinned_wheels(text: str, found: Any) -> None:
    assert cuda_of(text) == found


def test_a_plan_without_changes_has_no_findings() -> None:
    maker = WorldMaker()
    maker.probes["h1"]["systemd"] = 245
    maker.done(replace(make_plan(maker.world()), refusals=()))
    world = maker.world()
    assert make_plan(world).changes == ()
    assert everything(make_plan(world)) == ()
    assert [f.id for f in preflight.of_fleet(world, ())] == ["systemd"]


def test_a_refusal_is_a_finding_with_its_reasons() -> None:
    found = of_refusal(Refusal("port", "taken", ("by nginx",), "end it", "h1"))
    assert (found.severity, found.what, found.do, found.host) == ("refuse", "taken", "end it", "h1")
    assert found.why == "by nginx; what starts there would end at once, or answer for somebody else"
    warn = Finding("clock", "warn", "w", "", "", "a")
    assert by_place([warn, found, warn]) == (found, warn)


def test_a_way_through_a_socks_proxy_was_not_tried_and_refuses_nothing() -> None:
    mine = asked()
    answers: list[Answer] = [{"id": mine[0].id, "state": "socks", "status": None, "ms": 0, "message": "x"}]
    [found] = ways.findings({"h1": mine}, {"h1": answers})
    assert (found.severity, found.what) == ("warn", "whether h1 reaches the hub https://huggingface.co was not tried: x")
