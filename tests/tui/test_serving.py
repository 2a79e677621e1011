"""What a deployment serves with: the type it computes in, its adapters, how far a start is, and what it costs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from textual.pilot import Pilot

from deployer.app.dossier import Dossier
from deployer.app.fleet import Fleet
from deployer.app.looking import Figures, FleetNow
from deployer.app.serving import AdapterState, adapters, computed
from deployer.app.session import Session
from deployer.app.times import starting
from deployer.app.values import ReplicaState, Status
from deployer.execute.standing import Idle
from deployer.spec.models import AdapterSpec
from deployer.state.locked import Locked
from deployer.state.resources import Attribute, Kind, Resource
from deployer.tui import deploymentrows
from deployer.tui.app import DeployerApp
from deployer.tui.fleetnotes import notes
from deployer.tui.glyphs import ASCII, UNICODE
from deployer.tui.hostfacts import facts
from deployer.tui.line import text_of
from deployer.tui.servinglines import adapter_lines, applied_facts, computes_facts, start_line
from tests.engines.builders import deployment as engine_deployment
from tests.engines.builders import model
from tests.plan.test_adapters import locked_adapter
from tests.plan.worlds import WorldMaker
from tests.plan.worlds import deployment as planned
from tests.tui.conftest import see, travel
from tests.tui.fleets import deployment, fleet_now, host
from tests.tui.test_deployment import applied, opened, rewrite

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def replica(slot: int, *names: str, **attributes: str) -> Resource:
    known = tuple(Attribute(name, value) for name, value in attributes.items())
    payload = {"port": 20000, "adapters": [{"name": name, "path": "/x"} for name in names]}
    return Resource("h1", Kind.REPLICA, f"chat/{slot}", "chat", payload=payload, attributes=known)


def test_adapters_say_where_they_are_from_their_rank_and_who_serves_them() -> None:
    spec = planned(adapters=(AdapterSpec(name="sql", path="adapters/sql"), AdapterSpec(name="fr", repo="org/fr")))
    lock = Locked({"path:adapters/sql": locked_adapter("sql")})
    found = adapters(spec, lock, [replica(0, "sql", "old"), replica(1, "sql")])
    assert found == (
        AdapterState("sql", "adapters/sql", 8, True, 2, 2),
        AdapterState("fr", "org/fr main", None, True, 0, 2),
        AdapterState("old", None, None, False, 1, 2),
    )
    lines = [text_of(one).split() for one in adapter_lines(found)]
    assert lines[0] == ["ADAPTER", "FROM", "RANK", "SERVED", "BY"]
    assert lines[1] == ["sql", "adapters/sql", "8", "2", "of", "2", "replicas"]
    assert lines[2][-3:] == ["not", "applied", "yet"]
    assert lines[3][-5:] == ["replicas,", "until", "the", "next", "apply"]
    assert list(adapter_lines(())) == []


def test_what_a_replica_computes_in_is_said_where_the_files_still_say_what_was_applied() -> None:
    spec, found = engine_deployment("ctranslate2", {"quantization": "int8"}), model()
    maker = WorldMaker(deployments=[spec])
    maker.probes["h1"]["cpu_vendor"] = "AuthenticAMD"
    observed, lock = maker.world().observed, Locked(models={found.key: found})
    asked = {"engine": "ctranslate2", "quantization": "int8", "compute_type": "default"}
    words = "int8_float32, not int8_bfloat16: this CPU has no fast bfloat16"
    both = [replica(0, **asked), replica(1, **asked)]
    assert computed(spec, lock, observed, both) == ((words, ("chat/0", "chat/1")),)
    assert computed(spec, lock, observed, [replica(0, **{**asked, "quantization": "float32"})]) == ()
    assert computed(spec, lock, {}, both) == ()
    dossier = Dossier("chat", spec, None, (), None, None, computes=((words, ("chat/0",)), ("float32", ("chat/1",))))
    assert list(computes_facts(dossier)) == [("computes in", f"{words}  (chat/0)"), ("", "float32  (chat/1)")]
    assert applied_facts({"quantization": "int8", "dtype": "auto", "kv_cache_dtype": "fp8"}) == (
        ", quantization int8, kv_cache_dtype fp8"
    )


def test_a_start_says_how_long_it_takes_of_what_is_expected() -> None:
    since, later = START.isoformat(), START + timedelta(seconds=37)
    assert starting("compiling", since, 52.0, later) == "compiling, 0:37 of about 0:52"
    assert starting("compiling", since, None, later) == "compiling, 0:37"
    assert starting("compiling", None, 52.0) == "compiling, about 0:52 in all"
    assert starting("compiling", "yesterday", None) == "compiling"
    begun = (datetime.now(UTC) - timedelta(seconds=26)).isoformat()
    assert start_line("compiling", begun, 52.0, ASCII).startswith("#####..... compiling, 0:2")
    assert start_line("compiling", begun, 1.0, UNICODE).startswith("██████████ compiling")
    assert start_line("compiling", None, 52.0, UNICODE) == "compiling, about 0:52 in all"


@pytest.mark.parametrize(("width", "engine", "cost"), [(79, False, False), (119, False, True), (170, True, True)])
def test_the_list_has_the_engine_the_cost_and_the_start_where_there_is_room(width: int, engine: bool, cost: bool) -> None:
    begun = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    starts = ReplicaState(0, "starting", begun, None, (), "compiling", 400.0)
    one = deployment("chat", "starting", cost={"EUR": 1817.7}, replicas=(starts,))
    (entry,) = deploymentrows.entries([one], {"chat": Figures(phase="compiling")}, {}, {"chat": "vllm"})
    fitted = deploymentrows.columns_for(["chat"], width, priced=True)
    said = text_of(deploymentrows.draw(entry, fitted, UNICODE).left)
    assert ("vllm" in said, "1,818 EUR" in said) == (engine, cost)
    assert ("compiling, 3:00 of about 6:40" in said) == (width == 170)
    assert "compiling, 3:00" in said or width == 79


def test_the_top_line_says_what_idle_gpus_cost() -> None:
    now = fleet_now([host("h1")], [])
    assert now.status is not None
    status = replace(now.status, idle=Idle({"h1": 1, "h2": 2}, {"EUR": 5453.0}))
    said = [text for text, _ in notes(FleetNow(1, status, now.hosts), every_s=1, drift=0, paused_s=None)]
    assert " 3 GPUs idle, 5,453 EUR a month " in said
    assert isinstance(status, Status)


def test_the_panel_of_a_host_says_its_price_and_what_is_idle(loaded: Fleet) -> None:
    with (loaded.root / "hosts/h1.yaml").open("a") as file:
        file.write("price: 2.49 EUR\n")
    now = fleet_now([host("h1")], [])
    assert now.status is not None
    now = replace(now, status=replace(now.status, idle=Idle({"h1": 1}, {"EUR": 1817.7})))
    said = "\n".join(text_of(one) for one in facts("h1", now, loaded.again(), None, UNICODE))
    assert "2.49 EUR for an hour of a GPU, 1,818 EUR a month" in said
    assert "1 GPU that no deployment has" in said
    assert "price" not in "\n".join(text_of(one) for one in facts("h2", now, loaded.again(), None, UNICODE))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_overview_shows_it(loaded: Fleet, size: tuple[int, int]) -> None:
    fleet = applied(rewrite(loaded, "ctranslate2: {}", "ctranslate2: {compute_type: float32}"))
    app = DeployerApp(Session(fleet), tick_s=0.1, watching=False)

    async def journey(pilot: Pilot[int]) -> None:
        place = await opened(pilot)
        await see(pilot, "computes in float32")
        assert place.dossier is not None
        two = (AdapterState("sql", "adapters/sql", 8, True, 1, 1), AdapterState("old", None, None, False, 1, 1))
        place.dossier = replace(place.dossier, adapters=two)
        place.tab.draw()
        await see(pilot, "until the next apply")

    travel(app, journey, size)
