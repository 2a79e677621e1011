"""`watch`: what a host says of itself while somebody looks on."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployer.agent import wire
from deployer.agent.facts.engine import figures
from deployer.agent.system import System
from deployer.agent.talk import Hungup
from deployer.agent.watch import watch
from deployer.errors import DeployerError
from deployer.serve.metrics import Metrics
from deployer.transport.fake import FakeChannel, FakeHost
from tests.agent.support import FLEET, OTHER, Run, connect, deployment, probe, run_request, unit_name

Sample = dict[str, Any]


class Watching:
    """An open watch; `next` is the next sample. Beats are held: one passes for each sample that is taken."""

    def __init__(self, host: FakeHost, **more: Any) -> None:
        host.hold_beats()
        self.host = host
        self.channel: FakeChannel = connect(host).open("watch", {"fleet": FLEET, "every_s": 1.0, **more})
        self._lines = self.channel.lines()
        self.first = self._take()

    def next(self) -> Sample:
        self.host.beat()
        return self._take()

    def until(self, reached: Callable[[Sample], Any], limit: int = 200) -> Sample:
        sample = self.next()
        for _ in range(limit):
            if reached(sample):
                return sample
            sample = self.next()
        raise AssertionError(f"not in {limit} samples: {sample}")

    def _take(self) -> Sample:
        return next(line for line in self._lines if line["type"] == "sample")


@pytest.fixture
def applied(host: FakeHost) -> FakeHost:
    assert Run(host, run_request(deployment())).result == "done"
    return host


@pytest.fixture
def watching(applied: FakeHost) -> Iterator[Watching]:
    found = Watching(applied)
    yield found
    found.channel.close()


def test_a_sample_says_what_the_machine_and_its_replicas_do(watching: Watching) -> None:
    sample = watching.first
    (unit,) = sample["units"]
    assert (unit["unit"], unit["replica"], unit["active"], unit["phase"]) == (unit_name(), "chat/0", "active", None)
    assert [gpu["index"] for gpu in sample["gpus"]] == [0, 1]
    assert (sample["memory_total"], sample["load"]) == (256 << 30, 0.0)
    assert unit["figures"]["requests"] == 0.0


def test_samples_are_an_interval_apart_by_the_hosts_own_clock(watching: Watching) -> None:
    first = watching.next()["at"]
    assert [round(watching.next()["at"] - first, 2) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_an_engine_is_asked_at_most_every_two_seconds(watching: Watching) -> None:
    ages = {watching.next()["units"][0]["figures"]["at"] for _ in range(10)}
    assert 5 <= len(ages) <= 6


def test_an_engine_that_hangs_holds_up_nobody(applied: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, mended = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        asked.set()
        mended.wait(30)
        raise OSError("timed out")

    monkeypatch.setattr(applied.machine, "http", hang)
    watching = Watching(applied)
    assert asked.is_set()
    began = time.monotonic()
    samples = [watching.next() for _ in range(20)]
    assert time.monotonic() - began < 5.0
    assert [s["units"][0]["figures"] for s in samples] == [None] * 20
    assert len(samples[-1]["gpus"]) == 2
    mended.set()
    watching.channel.close()


def test_what_nobody_changed_stands_as_it_stood(watching: Watching) -> None:
    watching.host.set_gpu(0, utilization=99)
    watching.host.figures("chat").served(5)
    assert {watching.next()["standing"] for _ in range(5)} == {watching.first["standing"]}


@pytest.mark.parametrize(
    "change",
    [
        lambda host: host.machine.units.crash(unit_name()),
        lambda host: host.path(f"/etc/systemd/system/{unit_name()}").write_text("# by hand"),
        lambda host: host.path("/var/lib/deployer/acme/chat/failure.json").write_text("{}"),
        lambda host: host.path("/var/lib/deployer/acme/roster.json").write_text("{}"),
        lambda host: _dropin(host),
        lambda host: host.machine._gpus.pop(),
    ],
    ids=["crash", "unit file", "failure", "roster", "drop-in", "GPU"],
)
def test_what_a_status_or_a_plan_rests_on_changes_what_stands(watching: Watching, change: Callable[[FakeHost], None]) -> None:
    change(watching.host)
    watching.until(lambda sample: sample["standing"] != watching.first["standing"], limit=3)


def _dropin(host: FakeHost) -> None:
    folder = host.path(f"/etc/systemd/system/{unit_name()}.d")
    folder.mkdir()
    (folder / "by-hand.conf").write_text("[Service]\nNice=5\n")


def test_a_starting_engine_is_shown_with_what_its_run_says_it_does(host: FakeHost) -> None:
    host.slow_engine("chat", "Loading safetensors checkpoint shards:  20% Completed | 1/5", "Loading weights", *["more"] * 20)
    phases = [{"regex": r"shards:.*\| (?P<done>\d+)/(?P<total>\d+)", "phase": "loading shards"}]
    request = run_request(deployment())
    for step in request["transactions"][0]["steps"]:
        if step["kind"] == "unit.ready":
            step["args"]["phases"] = phases
        if step["label"] == "unit":  # as the product writes it: no record knows this replica yet
            step["args"]["content"] += "[X-Deployer]\nDeployment=chat\nSlot=0\n"
    watching = Watching(host)
    # The run looks twice at the engine that starts, then goes on once somebody saw what it said of it.
    told, sleep, looks = threading.Event(), host.machine.sleep, iter([True, False])

    def pause(seconds: float) -> None:
        if any(unit.active == "activating" for unit in host.machine.units.known.values()) and not next(looks, False):
            assert told.wait(20)
        sleep(seconds)

    host.machine.sleep = pause  # type: ignore[method-assign]
    done: list[Run] = []
    running = threading.Thread(target=lambda: done.append(Run(host, request)))
    running.start()
    standing = {watching.first["standing"]}
    seen: list[tuple[str, str | None]] = []
    probed: list[dict[str, Any]] = []
    while running.is_alive() or not seen or seen[-1][0] != "active":
        sample = watching.next()
        standing.add(sample["standing"])
        if not probed and sample["units"] and sample["units"][0]["phase"]:
            probed += probe(host)["unfinished"]
        if any(unit["phase"] == "loading shards 1 of 5" for unit in sample["units"]):
            told.set()
        seen += [(unit["active"], unit["phase"]) for unit in sample["units"] if unit["replica"] == "chat/0"]
    running.join()
    watching.channel.close()
    assert ("activating", "loading shards 1 of 5") in seen
    (starting,) = probed[0]["starting"].items()
    assert starting[0] == unit_name()
    assert starting[1]["phase"] in {phase for _, phase in seen}
    assert starting[1]["since"].startswith("20")
    assert seen[-1] == ("active", None)
    assert len(standing) > 2, "the run, its unit and its record each change what stands"
    assert done[0].result == "done"


def test_only_the_units_that_were_asked_for(applied: FakeHost) -> None:
    assert Run(applied, run_request(deployment("embed", port=20001))).result == "done"
    both = Watching(applied)
    assert [unit["replica"] for unit in both.first["units"]] == ["chat/0", "embed/0"]
    one = Watching(applied, units=[unit_name("embed")], gpus=False)
    assert [unit["replica"] for unit in one.first["units"]] == ["embed/0"]
    assert one.first["gpus"] == []
    for watching in (both, one):
        watching.channel.close()


def test_a_unit_of_another_fleet_cannot_be_asked_for(host: FakeHost) -> None:
    with pytest.raises(DeployerError, match="not a unit of the fleet acme"):
        Watching(host, units=["sshd.service"])


def test_a_fleet_of_the_same_name_sees_nothing_of_ours(applied: FakeHost) -> None:
    watching = Watching(applied, fleet={"id": OTHER["id"], "name": FLEET["name"]})
    assert watching.first["units"] == []
    watching.channel.close()


def test_watching_takes_no_lock_and_writes_nothing(watching: Watching) -> None:
    def written() -> dict[str, int]:
        root = watching.host.root
        return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    before = written()
    for _ in range(5):
        watching.next()
    assert written() == before
    assert Run(watching.host, run_request(deployment("embed", port=20001))).result == "done"


def test_it_ends_with_its_connection(watching: Watching) -> None:
    name = f"{watching.host.name}-watch"
    assert any(thread.name == name for thread in threading.enumerate())
    watching.channel.close()
    end = time.monotonic() + 10
    while any(thread.name == name for thread in threading.enumerate()):
        assert time.monotonic() < end
        threading.Event().wait(0.01)


class _Clock(System):
    """Only time passes here."""

    now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    def beat(self, seconds: float) -> None:
        self.now_s += seconds

    def gpu_reader(self) -> Any:
        return list


class _Listener:
    """A controller that has gone away without a word: what is written vanishes. `words` are what it said before."""

    ended = False

    def __init__(self, words: list[dict[str, Any] | None]) -> None:
        self.said: list[dict[str, Any]] = []
        self._words = words

    def words(self) -> "_Listener":
        return self

    def next(self) -> dict[str, Any] | None:
        return self._words.pop(0) if self._words else None

    def say(self, line: dict[str, Any]) -> None:
        self.said.append(line)
        if len(self.said) > 1000:
            raise Hungup


def test_it_ends_when_the_controller_closes_its_end(watching: Watching) -> None:
    watching.channel.done_sending()
    watching.host.beat(2)
    assert [line["type"] for line in watching._lines][-1] == "end"


def test_it_ends_when_the_controller_was_silent_for_a_minute(tmp_path: Any) -> None:
    listener = _Listener([*[None] * 30, {"here": True}])
    watch(_Clock(str(tmp_path)), {"fleet": FLEET, "every_s": 1.0}, listener)  # type: ignore[arg-type]
    assert 60 + 30 <= len(listener.said) <= 60 + 32


def test_something_is_said_every_two_seconds_however_rare_samples_are(tmp_path: Any) -> None:
    system, listener = _Clock(str(tmp_path)), _Listener([])
    watch(system, {"fleet": FLEET, "every_s": 10.0}, listener)  # type: ignore[arg-type]
    kinds = [line["type"] for line in listener.said]
    assert kinds[:6] == ["sample", "tick", "tick", "tick", "tick", "sample"]
    assert system.now_s >= 300


def test_the_figures_of_our_own_server_are_understood() -> None:
    metrics = Metrics('odd "name" {with} commas, and\nlines')
    for reason, amount in (("stop", 3), ("length", 2)):
        metrics.count("request_success", amount, reason)
    metrics.count("generation_tokens", 40)
    metrics.observe("time_to_first_token_seconds", 0.3)
    found = figures(metrics.render({"num_requests_running": 2, "num_requests_waiting": 1}))
    assert (found["requests"], found["generation_tokens"], found["running"], found["waiting"]) == (5, 40, 2, 1)
    assert "kv_cache" not in found
    assert found["ttft"][-1] == [None, 1.0]
    assert [0.25, 0.0] in found["ttft"]
    assert [0.5, 1.0] in found["ttft"]
    json.dumps(found, allow_nan=False)


def test_vllms_figures_are_summed_over_its_engines_and_the_cache_is_the_fullest() -> None:
    text = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:gpu_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:gpu_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 7.0 1700000000000
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 1.0
vllm:request_success_created{engine="0",finished_reason="stop",model_name="m"} 1.7e+09
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.001",model_name="m"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 5.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="m"} 5.0
vllm:generation_tokens_total NaN
python_info{implementation="CPython"} 1.0
"""
    ttft = [[0.001, 3.0], [None, 10.0]]
    assert figures(text) == {"running": 7.0, "kv_cache": 0.5, "requests": 8.0, "ttft": ttft}


@pytest.mark.parametrize(
    "text", ["", "<html>no</html>", "vllm:", "vllm:num_requests_running", 'vllm:num_requests_running{a="b"}', "vllm:x{ 1"]
)
def test_what_is_no_metric_gives_no_figure(text: str) -> None:
    assert figures(text) == {}


def test_every_verb_of_the_wire_is_answered() -> None:
    from deployer.agent.main import VERBS

    assert "watch" in VERBS
    assert "    watch  " in (wire.__doc__ or "")
