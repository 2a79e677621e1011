"""The engine is asked about its options before anything stops for them, once for the same ones."""

import json
from dataclasses import replace
from pathlib import Path

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
    return sum(argv[-1].endswith("vllm_check.py") for argv in bench.hosts["h1"].machine.ran)


def test_what_the_engine_refuses_stops_nothing_and_is_asked_once(fleet: Path, bench: Bench) -> None:
    (fleet / "deployments/chat.yaml").write_text(VLLM_CPU)
    relock(fleet)
    machine = bench.hosts["h1"].machine
    assert bench("apply", "--yes").code == 0
    assert asked(bench) == 1, "two replicas have the same options"
    before = bench.serving()

    machine.engine_refuses = "max_num_batched_tokens (4) is smaller than max_model_len (8)"
    bench.edit("enforce_eager: true", "enforce_eager: true, max_num_batched_tokens: 4")
    done = bench("apply", "--yes")
    assert done.code == 5
    assert "the engine refuses its options: max_num_batched_tokens (4) is smaller than max_model_len (8)" in done.out
    assert "deployments/chat.yaml:7" in done.out
    assert bench.serving() == before
    assert asked(bench) == 2

    machine.engine_refuses = None
    bench.edit(", max_num_batched_tokens: 4", ", max_num_batched_tokens: 16")
    assert bench("apply", "--yes").code == 0
    assert asked(bench) == 3
    bench.edit(", max_num_batched_tokens: 16", "")
    assert bench("apply", "--yes").code == 0
    assert asked(bench) == 3, "these were judged before"


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
    one, two = (VLLM.process(plain, None, replace(CPU_SLOT, number=n, port=20000 + n)).check for n in (0, 1))
    assert one == two
    assert one is not None
    assert "seed: 1" in one.text
    assert "port" not in one.text
    assert "{" not in "".join(one.env.values())
    for args in ({"trust_remote_code": True}, {"tool_parser_plugin": "/srv/parser.py"}, {"middleware": ["mine.Middleware"]}):
        settings = {"version": "0.33.0", "args": args}
        assert VLLM.process(deployment("vllm", settings), None, CPU_SLOT).check is None
