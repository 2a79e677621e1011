"""The ssh command for a host says what the host's file says."""

import shlex
from pathlib import Path

import pytest

from deployer.app.fleet import Fleet
from deployer.app.shell import shell_command
from deployer.errors import UsageError


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    root = tmp_path / "my fleet"
    for folder in ("hosts", "deployments"):
        (root / folder).mkdir(parents=True)
    (root / "deployer.yaml").write_text('id: "0123abcd"\nname: acme\n')
    files = {
        "plain": "address: 192.0.2.1\n",
        "full": "address: 192.0.2.2\nuser: deploy\nport: 2222\nidentity_file: keys/id\nhost_key: ssh-ed25519 AAAAC3NzaC1\n",
        "behind": "address: 10.0.0.3\nuser: deploy\njump: full\n",
        "here": "connection: local\n",
    }
    for name, text in files.items():
        (root / f"hosts/{name}.yaml").write_text(f"name: {name}\n{text}")
    return Fleet.load(root)


def test_a_host_with_nothing_but_an_address_is_left_to_the_users_own_configuration(fleet: Fleet) -> None:
    assert shell_command(fleet, "plain") == ["ssh", "192.0.2.1"]


def test_user_port_key_file_and_the_pinned_host_key_are_handed_over(fleet: Fleet) -> None:
    words = shell_command(fleet, "full")
    assert words[-1] == "deploy@192.0.2.2"
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("-i") + 1] == str(fleet.root / "keys/id")
    known = fleet.root / ".deployer/known_hosts"
    assert f'UserKnownHostsFile="{known}"' in words
    assert "StrictHostKeyChecking=yes" in words
    assert known.read_text() == "[192.0.2.2]:2222 ssh-ed25519 AAAAC3NzaC1\n"


def test_a_host_behind_another_is_reached_through_it_with_that_ones_own_settings(fleet: Fleet) -> None:
    words = shell_command(fleet, "behind")
    assert words[-1] == "deploy@10.0.0.3"
    way = shlex.split(next(word for word in words if word.startswith("ProxyCommand=")).removeprefix("ProxyCommand="))
    assert way[0] == "ssh"
    assert way[way.index("-W") + 1] == "[%h]:%p"
    assert way[-1] == "deploy@192.0.2.2"
    assert way[way.index("-p") + 1] == "2222"


def test_this_machine_needs_no_ssh(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert shell_command(fleet, "here") == ["/bin/bash", "-i"]


def test_a_host_of_no_file_is_refused_with_the_nearest(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="there is no host plane"):
        shell_command(fleet, "plane")
