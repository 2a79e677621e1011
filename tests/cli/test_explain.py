"""`deployer plan --explain`: a deployment's memory in words."""

import pytest

from tests.cli.conftest import Shell


def test_a_replica_on_the_cpu_is_held_against_its_host_and_what_is_not_known_is_said(run: Shell) -> None:
    done = run("plan", "--explain", "chat")
    assert done.code == 0
    assert "chat/0 on h1 (16 GiB): memory not computed: neither the deployment nor config.json says how long" in done.out
    assert "the conversion needs about 0.44 GiB of the host's memory" in done.out


@pytest.mark.parametrize("name", ["chatt", "../chat", ""])
def test_a_name_that_no_file_has_is_an_error_before_any_host_is_asked(run: Shell, name: str) -> None:
    done = run("plan", "--explain", name)
    assert done.code == 64
    assert "chat" in done.err
    assert not any(host.requests for host in run.hosts.values())


def test_the_terminal_ui_has_no_explanation_in_text(run: Shell) -> None:
    assert "--explain" in run("plan", "--ui", "--explain", "chat").err
