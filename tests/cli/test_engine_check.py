"""The engine is asked about its options before anything stops for them, once for the same ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.engines.vllm import VLLM
from tests.cli.conftest import relock
from tests.cli.fakehosts import Bench, bench
from tests.engines.builders import CPU_SLOT, deployment

__all__ = ["bench"]

VLLM_CPU = """\
name: chat
model: {path: models/tiny}
engine:
  vllm:
    version: 0.33.0
    variant: cpu
    args: {enforce_eager: true}
replicas: 2
placement: {hosts: [h1]}
endpoint: {open: true}
"""


def asked(bench: Bench) -> int:
    return sum(argv[-1].endswith("vllm_check.py") for host in bench.hosts.values() for argv in host.machine.ran)


MORE = "enforce_eager: true, max_num_batched_tokens: "
SAID = "max_num_batched_tokens (4) is smaller than max_model_len (8)"


@pytest.fixture
def vllm(fleet: Path, bench: Bench) -> Bench:
    """Two replicas of a vLLM that answers, after one question about its options."""
    (fleet / "deployments/chat.yaml").write_text(VLLM_CPU)
    relock(fleet)
    assert bench("apply", "--yes").code == 0
    assert asked(bench) == 1, "two replicas have the same options, and a first plan finds no environment to ask"
    return bench


def test_a_plan_asks_the_engine_about_options_that_change(vllm: Bench) -> None:
    assert vllm("plan").code == 0
    assert asked(vllm) == 1, "nothing changed: nobody is asked"

    vllm.hosts["h1"].machine.engine_refuses = SAID
    vllm.edit("enforce_eager: true", MORE + "4")
    world = vllm.world()
    done = vllm("plan")
    assert done.code == 4
    assert f"chat: the engine refuses its options: {SAID}" in done.out
    assert "deployments/chat.yaml:7" in done.out
    assert asked(vllm) == 2
    [found] = [f for f in vllm.json("plan")["findings"] if f["id"] == "options"]
    assert (found["severity"], found["host"], found["deployment"]) == ("refuse", "h1", "chat")
    assert (found["source"]["file"], found["source"]["line"]) == ("deployments/chat.yaml", 7)
    assert asked(vllm) == 3, "a no is not kept"
    assert vllm("apply", "--yes").code == 4
    assert vllm.world() == world, "a plan leaves nothing on a host"


def test_what_a_plan_was_told_is_not_asked_again(vllm: Bench) -> None:
    vllm.edit("enforce_eager: true", MORE + "16")
    assert vllm.json("plan")["judged"].keys() == {"h1"}
    assert vllm.json("plan")["judged"].keys() == {"h1"}
    assert asked(vllm) == 2
    assert vllm("apply", "--yes").code == 0
    assert asked(vllm) == 2, "the apply notes what the plan was told"
    vllm.edit(MORE + "16", "enforce_eager: true")
    assert vllm("apply", "--yes").code == 0
    assert asked(vllm) == 2, "these were noted by the first apply"
    (vllm.root / ".deployer/judged.json").write_text("[]")
    vllm.edit("enforce_eager: true", MORE + "16")
    assert vllm("plan").code == 0
    assert asked(vllm) == 2, "and these by the second"


def test_an_environment_that_is_not_there_is_asked_by_the_apply(fleet: Path, bench: Bench) -> None:
    (fleet / "deployments/chat.yaml").write_text(VLLM_CPU)
    relock(fleet)
    bench.hosts["h1"].machine.engine_refuses = SAID
    planned = bench("plan")
    assert planned.code == 0
    assert "options" not in planned.out
    assert asked(bench) == 0
    done = bench("apply", "--yes")
    assert done.code == 5
    assert f"the engine refuses its options: {SAID}" in done.out
    assert "deployments/chat.yaml:3" in done.out
    assert asked(bench) == 1
    assert not [unit for unit in bench.hosts["h1"].running() if "chat" in unit]


def test_a_host_that_does_not_say_in_time_is_asked_by_the_apply(vllm: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployer.agent.system import TooLong
    from deployer.transport.simulation import programs

    real = programs.run

    def late(machine: Any, argv: list[str], given: bytes) -> Any:
        if "-B" in argv:
            raise TooLong("vllm_check.py", 30.0, [])
        return real(machine, argv, given)

    monkeypatch.setattr(programs, "run", late)
    vllm.edit("enforce_eager: true", MORE + "16")
    done = vllm("plan")
    assert done.code == 0
    assert "chat: its options are checked at apply; h1 could not say yet" in done.out
    assert vllm("apply", "--yes").code == 0
    assert asked(vllm) == 4, "by both plans in vain, and by the apply"


def test_a_connection_that_breaks_costs_the_answer_and_not_the_plan(vllm: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployer.agent import judge

    def gone(*_: Any) -> None:
        vllm.hosts["h1"].drop()

    monkeypatch.setattr(judge, "judge", gone)
    vllm.edit("enforce_eager: true", MORE + "16")
    done = vllm("plan")
    assert done.code == 0
    assert "its options are checked at apply" in done.out


def test_the_same_options_on_two_hosts_are_asked_on_one(vllm: Bench) -> None:
    vllm.edit("replicas: 2", "replicas: 3")
    vllm.edit("hosts: [h1]", "hosts: [h1, h2]")
    vllm.edit("gateway: {insecure: true}", "gateway: {insecure: true, hosts: [h1]}", "deployer.yaml")
    assert vllm("apply", "--yes").code == 0
    before = asked(vllm)
    vllm.edit("enforce_eager: true", MORE + "16")
    assert {c["host"] for c in vllm.json("plan")["changes"] if c["kind"] == "replica"} == {"h1", "h2"}
    assert asked(vllm) == before + 1


@pytest.mark.parametrize("said", [json.dumps({"unknown": "ImportError: no vllm"}).encode(), b"{nonsense"])
def test_what_cannot_be_told_is_left_to_the_start(
    fleet: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    from deployer.agent.system import Done
    from deployer.transport.simulation import programs

    real = programs.run
    answer = Done(0, said, b"")
    monkeypatch.setattr(
        programs, "run", lambda m, argv, given: answer if argv[-1].endswith("_check.py") else real(m, argv, given)
    )
    (fleet / "deployments/chat.yaml").write_text(VLLM_CPU)
    relock(fleet)
    assert bench("apply", "--yes").code == 0
    assert not list(bench.hosts["h1"].path("/var/cache/deployer/checked").glob("*.json"))


def test_the_question_is_the_same_for_all_replicas_and_runs_nobodys_code() -> None:
    plain = deployment("vllm", {"version": "0.33.0", "args": {"seed": 1}})
    one, two = (VLLM.process(plain, None, CPU_SLOT._replace(number=n, port=20000 + n)).check for n in (0, 1))
    assert one == two
    assert one is not None
    assert "seed: 1" in one.text
    assert "port" not in one.text
    assert "{" not in "".join(one.env.values())
    for args in ({"trust_remote_code": True}, {"tool_parser_plugin": "/srv/parser.py"}, {"middleware": ["mine.Middleware"]}):
        settings = {"version": "0.33.0", "args": args}
        assert VLLM.process(deployment("vllm", settings), None, CPU_SLOT).check is None
