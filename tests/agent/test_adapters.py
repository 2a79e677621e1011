"""`unit.adapters`: a running engine is told which LoRA adapters it serves; what fails is taken back."""

import json
from typing import Any

import pytest

from deployer.transport.fake import FakeHost
from tests.agent.support import Run, deployment, run_request, step, transaction, unit_name

ARGS = "/etc/deployer/acme/chat/0-aaaa0001/args"
SQL, STYLE = {"name": "sql", "path": "/m/sql/1"}, {"name": "style", "path": "/m/style/1"}


def serve(host: FakeHost, *adapters: dict[str, str], lora: bool = True) -> None:
    made = deployment()
    modules = json.dumps([json.dumps(a) for a in adapters])
    made["steps"][0]["args"]["content"] = f"enable-lora: true\nlora-modules: {modules}\n" if lora else "x: 1\n"
    unit = next(s for s in made["steps"] if "unit" in s["label"])
    unit["args"]["content"] += f"LoadCredential=args:{ARGS}\n"
    assert Run(host, run_request(made)).result == "done"


def follow(host: FakeHost, *adapters: dict[str, str], then: tuple[dict[str, Any], ...] = ()) -> Run:
    first = step("switch", "unit.adapters", "adapters", unit=unit_name(), port=20000, adapters=list(adapters))
    return Run(host, run_request(transaction("chat", first, *then, deployment="chat")))


def served(host: FakeHost) -> dict[str, str] | None:
    return host.machine.units.known[unit_name()].adapters


def test_what_is_new_is_loaded_and_what_is_gone_is_unloaded_without_a_restart(host: FakeHost) -> None:
    serve(host, SQL)
    before = host.machine.units.known[unit_name()].invocation
    assert follow(host, {**SQL, "path": "/m/sql/2"}, STYLE).result == "done"
    assert served(host) == {"sql": "/m/sql/2", "style": "/m/style/1"}
    assert follow(host, STYLE).result == "done"
    assert served(host) == {"style": "/m/style/1"}
    assert host.machine.units.known[unit_name()].invocation == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/m/broken", "LoRA rank 64 is greater than max_lora_rank 16."),
        ("/m/missing", "Loading lora big failed: No adapter found for /m/missing"),
    ],
)
def test_one_that_cannot_be_loaded_is_told_in_the_engines_words_and_the_others_come_back(
    host: FakeHost, path: str, said: str
) -> None:
    serve(host, SQL)
    run = follow(host, STYLE, {"name": "big", "path": path})
    assert run.result == "rolled-back"
    assert run.report["transactions"]["chat"]["message"].endswith(f"does not load the adapter big: {said}")
    assert served(host) == {"sql": "/m/sql/1"}


def test_a_later_failure_brings_the_old_list_back(host: FakeHost) -> None:
    serve(host, SQL)
    bad = step("gateway", "unit.steady", unit="deployer-acme-nope-0-aaaa0001.service", port=1, ready_path="/health", seconds=1)
    assert follow(host, STYLE, then=(bad,)).result == "rolled-back"
    assert served(host) == {"sql": "/m/sql/1"}


def test_an_engine_that_was_started_without_adapters_says_so(host: FakeHost) -> None:
    serve(host, lora=False)
    run = follow(host, SQL)
    assert "it was started without adapters" in run.report["transactions"]["chat"]["message"]


@pytest.mark.parametrize("adapters", [(SQL,), (STYLE, SQL)])
def test_an_engine_that_is_down_reads_its_files_when_it_starts(host: FakeHost, adapters: tuple[dict[str, str], ...]) -> None:
    serve(host, SQL)
    host.machine.units.stop(unit_name())
    assert follow(host, *adapters).result == "done"
    assert served(host) == {"sql": "/m/sql/1"}, "nobody told it anything"
