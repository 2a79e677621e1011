"""Why an engine did not start, told from its log: the real texts (failures.*.txt), the cause in words, the edit of the YAML that
helps.

Texts: vLLM 0.32.0 and CTranslate2 4.8.5 as their source writes them; torch, CUDA and NCCL as users reported them in vLLM's issues
(15105, 14452, 6574, 1408 of dynamo); systemd's as its journal shows them.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from deployer.agent.steps.ready import classify
from deployer.engines import ENGINES
from deployer.engines.host_logs import HOST_FAILURES, HOST_FALLBACKS

DEAD = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
HERE = Path(__file__).parent


def cases(engine: str, kind: str = "failures") -> list[Any]:
    """(lines of the log, cause, beginning of the hint)."""
    found = []
    for block in (HERE / f"{kind}.{engine}.txt").read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            log = [line for line in lines if line[:2] not in ("= ", "! ")]
            cause, hint = (next((line[2:] for line in lines if line.startswith(mark)), "") for mark in ("= ", "! "))
            found.append(pytest.param(log, cause, hint, id=cause.replace(" ", "-")[:50]))
    return found


def patterns(engine: str) -> list[dict[str, Any]]:
    return [dict(f.as_json()) for f in ENGINES[engine].log.failures]


def told(engine: str, log: list[str]) -> tuple[str, str]:
    """As the agent tells it, the engine's last words below the cause as they are in life."""
    found = classify([*log, DEAD.format("{'EngineCore': 1}")], patterns(engine)) or {}
    return found.get("cause") or "", found.get("hint") or ""


@pytest.mark.parametrize(("log", "cause", "hint"), cases("vllm"))
def test_a_vllm_failure_is_told_with_its_cause_and_what_to_do(log: list[str], cause: str, hint: str) -> None:
    found = told("vllm", log)
    assert (found[0][: len(cause)], found[1][: len(hint)]) == (cause, hint)


OTHERS = ("ctranslate2", "transformers", "llamacpp", "ollama")


@pytest.mark.parametrize(("engine", "case"), [(name, case) for name in OTHERS for case in cases(name)])
def test_a_failure_of_another_engine_is_told_by_its_cause(engine: str, case: Any) -> None:
    log, cause, hint = case.values
    found = told(engine, log)
    assert (found[0][: len(cause)], found[1][: len(hint)]) == (cause, hint)


@pytest.mark.parametrize("engine", ["vllm", "llamacpp", "transformers", "ollama"])
def test_every_cause_has_a_text_that_shows_it(engine: str) -> None:
    """A pattern without an example is one that nobody tried, or one that another hides."""
    known = patterns(engine)
    logs = [case.values[0] for case in cases(engine)]
    shown = {next(i for i, p in enumerate(known) if classify(log, [p])) for log in logs}
    host = set() if engine == "vllm" else {f.regex for f in (*HOST_FAILURES, *HOST_FALLBACKS)}
    assert [p["regex"] for i, p in enumerate(known) if i not in shown and p["regex"] not in host] == []


@pytest.mark.parametrize(("log", "cause", "hint"), cases("vllm", "provoked"))
def test_what_a_real_vllm_said_when_it_was_made_to_fail_is_told(log: list[str], cause: str, hint: str) -> None:
    """By provoke_vllm.py, with vLLM 0.32.0 for CPUs; each of the twenty by another cause."""
    assert cause
    assert told("vllm", log)[0] == cause


def test_the_provoked_failures_have_a_cause_each() -> None:
    causes = [case.values[1] for case in cases("vllm", "provoked")]
    assert len(causes) == len(set(causes)) >= 15


@pytest.mark.parametrize(
    ("content", "device", "cause"),
    [
        (None, "cpu", "model.bin is missing or cut off"),
        (b"\x63\x00\x00\x00abc", "cpu", "the model was converted by a newer CTranslate2"),
        (b"\x06\x00\x00\x00", "cpu", "model.bin is missing or cut off"),
    ],
)
def test_what_a_real_ctranslate2_says_is_told(tmp_path: Path, content: bytes | None, device: str, cause: str) -> None:
    import ctranslate2

    if content is not None:
        (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(RuntimeError) as raised:
        ctranslate2.Generator(str(tmp_path), device=device)
    assert told("ctranslate2", [f"RuntimeError: {raised.value}"])[0] == cause, raised.value


def test_a_share_that_cannot_be_computed_is_no_crash() -> None:
    pattern = {"regex": r"(?P<one>\w+) of (?P<other>\w+)", "cause": "{one/other}", "hint": "{one/none}"}
    assert classify(["7 of 0"], [pattern]) == {"cause": "?", "hint": "?"}
    assert classify(["1 of 3"], [pattern]) == {"cause": "0.33", "hint": "?"}


def test_an_ordinary_start_names_no_cause_and_shows_how_far_it_is() -> None:
    """A real one, of vLLM 0.32.0 for CPUs with an adapter. It warns of open files, and quotes the error."""
    lines = (HERE / "start.vllm-cpu.txt").read_text().splitlines()
    assert any("[Errno 24] Too many open files" in line for line in lines)
    lines.append("INFO Successfully read it; a tuned configuration was not found, using the default")
    assert classify(lines, patterns("vllm")) is None
    phases = ENGINES["vllm"].log.phases
    shown = [phase.phase for line in lines for phase in phases if re.search(phase.regex, line)]
    assert list(dict.fromkeys(shown)) == [
        "reading the model's configuration",
        "starting the engine",
        "loading the model",
        "loading shards",
        "weights loaded",
        "making the cache",
        "warmed up",
        "starting the server",
        "answering",
    ]


def test_a_start_on_a_gpu_shows_each_of_its_stages() -> None:
    """Lines as vLLM 0.32's source and tqdm write them."""
    lines = [
        "Multi-thread loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.9it/s]",
        "(EngineCore pid=7) INFO 11-21 10:00:00 [gpu_model_runner.py:5149] Model loading took 14.96 GiB memory and 9.1 seconds",
        "(EngineCore pid=7) INFO 11-21 10:00:00 [backends.py:1] Dynamo bytecode transform time: 4.1 s",
        "(EngineCore pid=7) INFO 11-21 10:00:00 [monitor.py:1] torch.compile took 21.30 s in total",
        "(EngineCore pid=7) INFO 11-21 10:00:00 [gpu_worker.py:1] Available KV cache memory: 51.20 GiB",
        "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  35%|███▌      | 12/35 [00:01<00:02,  8.11it/s]",
        "(EngineCore pid=7) INFO 11-21 10:00:00 [gpu_model_runner.py:1] Graph capturing finished in 4 secs, took 0.52 GiB",
    ]
    phases = ENGINES["vllm"].log.phases
    shown = []
    for line in lines:
        found = [(p.phase, m.groupdict()) for p in phases if (m := re.search(p.regex, line))]
        shown.append(found[-1])
    assert shown == [
        ("loading shards", {"done": "2", "total": "4"}),
        ("measuring memory", {}),
        ("compiling", {}),
        ("measuring memory", {}),
        ("making the cache", {}),
        ("capturing CUDA graphs", {"done": "12", "total": "35"}),
        ("warming up", {}),
    ]
