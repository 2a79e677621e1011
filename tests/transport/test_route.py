"""The way to a host: jump hosts of the fleet, addresses, ~/.ssh/config."""

from pathlib import Path

import pytest

from deployer.errors import Unreachable
from deployer.spec.models import HostSpec
from deployer.transport.ssh.route import configured_jump, hop_of, parse_hop


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bastion", ("bastion", None, None)),
        ("me@bastion", ("bastion", "me", None)),
        ("me@bastion:2222", ("bastion", "me", 2222)),
        ("10.0.0.1:22", ("10.0.0.1", None, 22)),
        ("fd00::1", ("fd00::1", None, None)),
        ("me@[fd00::1]:2222", ("fd00::1", "me", 2222)),
        ("[fd00::1]", ("fd00::1", None, None)),
        ("me@corp@bastion", ("bastion", "me@corp", None)),
    ],
)
def test_a_jump_is_written_as_ssh_writes_it(text: str, expected: tuple[str, str | None, int | None]) -> None:
    hop = parse_hop(text, where="h")
    assert (hop.address, hop.user, hop.port) == expected


def test_a_jump_that_is_a_host_of_the_fleet_brings_its_own_key_and_jump() -> None:
    hosts = {
        "a": HostSpec(name="a", address="10.0.0.1", jump="b"),
        "b": HostSpec(name="b", address="10.0.0.2", user="root", jump="out@gate:2200", identity_file="keys/b"),
    }
    hop = hop_of(hosts["a"], hosts, Path("/fleet"))
    assert hop.jump
    assert (hop.jump.address, hop.jump.user, hop.jump.identity) == ("10.0.0.2", "root", Path("/fleet/keys/b"))
    assert hop.jump.jump
    assert (hop.jump.jump.address, hop.jump.jump.user, hop.jump.jump.port) == ("gate", "out", 2200)


def test_jumps_in_a_circle_are_refused() -> None:
    hosts = {name: HostSpec(name=name, address=name, jump=other) for name, other in (("a", "b"), ("b", "a"))}
    with pytest.raises(Unreachable, match="a → b → a"):
        hop_of(hosts["a"], hosts, Path())


def test_proxyjump_of_the_configuration_goes_from_left_to_right() -> None:
    way = configured_jump(parse_hop("target", where="t"), {"proxyjump": "first,me@second:2200"})
    assert way is not None
    assert (way.address, way.user, way.port) == ("second", "me", 2200)
    assert way.jump is not None
    assert (way.jump.address, way.jump.jump) == ("first", None)
    assert configured_jump(parse_hop("target", where="t"), {"proxyjump": "none"}) is None
