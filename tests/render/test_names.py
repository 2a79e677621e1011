"""Names are made and read back, and no two things share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.render import names

NAME = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
DIGEST = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@given(NAME, NAME, st.integers(0, 999), DIGEST)
def test_a_units_name_is_read_back(fleet: str, deployment: str, slot: int, digest: str) -> None:
    unit = names.unit_name(fleet, deployment, slot, digest)
    assert names.parse_unit_name(unit, fleet) == names.UnitName(fleet, deployment, slot, digest[:8])


@pytest.mark.parametrize(
    "unit",
    [
        "ssh.service",
        "deployer-acme-gateway.service",
        "deployer-acme-chat-0-ab12cd34.timer",
        "deployer-acme-chat-0-AB12CD34.service",
        "deployer-acme-chat-ab12cd34.service",
        "deployer-other-chat-0-ab12cd34.service",
        "xdeployer-acme-chat-0-ab12cd34.service",
    ],
)
def test_other_names_are_no_replica_of_ours(unit: str) -> None:
    assert names.parse_unit_name(unit, "acme") is None


def test_a_deployment_named_gateway_does_not_meet_the_gateway() -> None:
    unit = names.unit_name("acme", "gateway", 0, "0" * 64)
    assert unit != names.gateway_unit_name("acme")
    assert not names.unit_directory("acme", "gateway", 0, "0" * 64).startswith(names.gateway_directory("acme"))


@given(NAME, NAME)
def test_a_user_name_is_one_that_systemd_takes(fleet_id: str, deployment: str) -> None:
    user = names.user_name(fleet_id, deployment)
    assert len(user) <= 31
    assert user.isascii()
    assert user != names.user_name(fleet_id + "x", deployment)
