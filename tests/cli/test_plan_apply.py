"""plan, apply, prune and the holds, from the words of the command line to the exit code."""

import json
import stat
from pathlib import Path

import pytest

from deployer.errors import Unreachable
from tests.cli.conftest import Shell


def test_a_plan_shows_what_would_change_and_is_kept_for_later(run: Shell) -> None:
    done = run("plan")
    assert done.code == 0
    assert "chat/0" in done.out
    (path,) = (run.root / ".deployer/plans").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name in done.err
    assert "deployer apply" in done.err


def test_detailed_exitcode_says_two_when_something_changes(run: Shell) -> None:
    assert run("plan", "--detailed-exitcode").code == 2


def test_the_same_world_gives_the_same_plan_id(run: Shell) -> None:
    first, second = (json.loads(run("plan", "--json").out) for _ in range(2))
    assert first["plan_id"] == second["plan_id"]
    assert first["format_version"] == "1.0"


def test_an_unreachable_host_is_shown_and_makes_six(run: Shell) -> None:
    run.hosts["h2"].error = Unreachable("timed out after 5 s", where="h2")
    done = run("plan")
    assert done.code == 6
    assert "timed out after 5 s" in done.out


def test_markdown_and_out_write_what_they_say(run: Shell, tmp_path: Path) -> None:
    target = tmp_path / "p.json"
    done = run("plan", "chat", "--format", "markdown", "--out", str(target))
    assert done.code == 0
    assert "|" in done.out or "#" in done.out
    assert json.loads(target.read_text())["fleet"]["name"] == "acme"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_apply_without_a_person_and_without_yes_is_refused_and_touches_nothing(run: Shell) -> None:
    done = run("apply")
    assert done.code == 64
    assert "--yes" in done.err
    assert all(r["verb"] == "probe" for host in run.hosts.values() for r in host.requests)


def test_apply_does_the_plan_and_reports_at_the_end(run: Shell) -> None:
    done = run("apply", "--yes")
    assert done.code == 0, done.err
    assert "fleet acme" in done.err
    assert done.out.splitlines()[-1].startswith("2 hosts: ")
    assert "chat answers at http://" in done.out


def test_what_is_made_stopped_is_not_said_to_answer(run: Shell) -> None:
    with (run.root / "deployments/chat.yaml").open("a") as file:
        file.write("state: stopped\n")
    done = run("apply", "--yes")
    assert done.code == 0, done.err
    assert "answers at" not in done.out


def test_apply_json_is_a_stream_that_ends_with_the_report(run: Shell) -> None:
    done = run("apply", "--yes", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines[-1]["type"] == "report"
    assert lines[-1]["exit_code"] == 0
    assert all({"type", "at", "host", "change", "step", "message"} <= set(line) for line in lines[:-1])


def test_a_saved_plan_is_done_without_asking_the_hosts_again(run: Shell, tmp_path: Path) -> None:
    target = tmp_path / "p.json"
    run("plan", "--out", str(target))
    for host in run.hosts.values():
        host.requests.clear()
    done = run("apply", str(target), "--yes")
    assert done.code == 0, done.err
    assert all(r["verb"] != "probe" for host in run.hosts.values() for r in host.requests)


def test_a_saved_plan_of_another_fleet_is_stale(run: Shell, tmp_path: Path) -> None:
    target = tmp_path / "p.json"
    run("plan", "--out", str(target))
    (run.root / "deployer.yaml").write_text('id: "99999999"\nname: acme\ngateway: {insecure: true}\n')
    done = run("apply", str(target), "--yes")
    assert done.code == 8
    assert "0123abcd" in done.err


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json", '{"format_version": "9.0"}', '{"format_version": "1.0"}'])
def test_a_file_that_is_no_plan_is_said_so_without_a_traceback(run: Shell, tmp_path: Path, content: str) -> None:
    target = tmp_path / "p.json"
    target.write_text(content)
    done = run("apply", str(target), "--yes")
    assert done.code == 1
    assert "plan" in done.err
    assert "fault in deployer" not in done.err


def test_a_saved_plan_takes_no_options_that_would_change_it(run: Shell, tmp_path: Path) -> None:
    target = tmp_path / "p.json"
    run("plan", "--out", str(target))
    assert run("apply", str(target), "--prune", "--yes").code == 64


def test_a_name_that_is_nobody_says_the_nearest(run: Shell) -> None:
    done = run("plan", "chta")
    assert done.code == 64
    assert "did you mean chat?" in done.err


def test_a_lock_that_is_behind_is_said_with_the_line_of_the_file(run: Shell) -> None:
    (run.root / "models/tiny/config.json").write_text('{"architectures": ["X"], "vocab_size": 9}')
    done = run("plan")
    assert done.code == 3
    assert "deployments/chat.yaml:2" in done.err


def test_stopping_is_planned_with_a_hold_that_reaches_the_roster(run: Shell) -> None:
    done = run("stop", "chat", "--why", "maintenance", "--yes")
    assert done.code == 0, done.err
    roster = run.hosts["h1"].roster
    assert roster is not None
    assert roster["holds"]["chat"]["kind"] == "stopped"
    assert "--release chat" in done.err


def test_a_held_lock_ends_with_seven(run: Shell) -> None:
    for host in run.hosts.values():
        host.holder = {"who": "bob@desk"}
    done = run("apply", "--yes")
    assert done.code == 7
    assert "bob@desk" in done.out


def test_a_failure_shows_cause_advice_and_log(run: Shell) -> None:
    for host in run.hosts.values():
        host.fail_stage = "finish"
    done = run("apply", "--yes")
    assert done.code == 5
    for part in ("cause   no memory", "do      ", "| line 2", "deployer logs chat --failure"):
        assert part in done.out


def test_the_production_fleet_is_named_before_it_is_touched(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run.root / "deployer.yaml"
    path.write_text(path.read_text() + "environment: prod\n")
    monkeypatch.setattr("deployer.cli.console.interactive", lambda: True)
    asked: list[str] = []
    monkeypatch.setattr("deployer.cli.confirm._ask", lambda question: asked.append(question) or "y")
    done = run("apply")
    assert done.code == 0
    assert "type the fleet's name" in asked[0]
    assert "nothing was changed" in done.err
    monkeypatch.setattr("deployer.cli.confirm._ask", lambda question: "acme")
    assert "done" in run("apply").out
