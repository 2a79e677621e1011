"""What is on the hosts, and what is said of those that do not answer."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.agent.packed import packed, unpacked
from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.execute.pool import Pool
from deployer.execute.probe import probe_hosts, probe_request
from deployer.spec.models import HostSpec
from deployer.state.observed import Reached, Unreached
from deployer.transport.base import Connection
from tests.execute.plans import fleet
from tests.execute.stub import Host, StubTransport


def test_one_connection_and_one_exec_per_host_and_the_connection_is_kept() -> None:
    hosts = {name: Host(name, probe={"hostname": name}) for name in ("a", "b")}
    spec = fleet(hosts)
    with Pool(StubTransport(hosts), spec.hosts) as pool:
        found = probe_hosts(pool, ["a", "b"], spec)
        pool.connection("a")
    assert [(r.name, r.probe["hostname"]) for r in found.values() if isinstance(r, Reached)] == [("a", "a"), ("b", "b")]
    assert [(h.connects, len(h.requests)) for h in hosts.values()] == [(1, 1), (1, 1)]


def test_every_way_not_to_answer_is_data_with_its_kind() -> None:
    errors: dict[str, DeployerError] = {
        "key": HostKeyError("another key", where="key"),
        "auth": Unreachable("login refused", where="auth", kind="auth"),
        "slow": Unreachable("timed out after 5 s", where="slow", kind="timeout"),
        "agent": DeployerError("the agent needs Python 3.9", where="agent"),
    }
    hosts = {name: Host(name, error=error) for name, error in errors.items()}
    spec = fleet(hosts)
    found = probe_hosts(Pool(StubTransport(hosts), spec.hosts), hosts, spec)
    assert {r.name: r.kind for r in found.values() if isinstance(r, Unreached)} == {
        "key": "key", "auth": "auth", "slow": "timeout", "agent": "agent"
    }  # fmt: skip


def test_a_roster_that_all_hosts_have_is_read_once() -> None:
    roster = {"generation": 3, "hosts": {"a": {"machine_id": "m", "address": "10.0.0.1"}}, "slots": {}, "holds": {}}
    hosts = {
        name: Host(name, probe={"roster": packed(one)}) for name, one in (("a", roster), ("b", dict(reversed(roster.items()))))
    }
    hosts |= {"new": Host("new", probe={"roster": None}), "odd": Host("odd", probe={"roster": "no roster"})}
    spec = fleet(hosts)
    with Pool(StubTransport(hosts), spec.hosts) as pool:
        found = probe_hosts(pool, hosts, spec)
    read = {name: one.probe["roster"] for name, one in found.items() if isinstance(one, Reached)}
    assert read == {"a": roster, "b": roster, "new": None}
    assert read["a"] is read["b"]
    odd = found["odd"]
    assert isinstance(odd, Unreached)
    assert "the agent's roster cannot be read" in odd.message


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20), lambda inner: st.dictionaries(st.text(max_size=9), inner), max_leaves=9
    )
)
def test_what_is_packed_comes_back_and_order_changes_nothing(value: Any) -> None:
    assert unpacked(packed(value)) == value
    if isinstance(value, dict):
        assert packed(dict(reversed(value.items()))) == packed(value)


@given(st.text(max_size=40))
def test_what_was_not_packed_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whichever layer says it
        unpacked(text)


def test_a_host_that_hangs_is_a_timeout_and_the_others_answer() -> None:
    never = threading.Event()

    class Hanging(StubTransport):
        def connect(self, host: HostSpec, *, timeout_s: float) -> Connection:
            if host.name == "hangs":
                never.wait(30)
            return super().connect(host, timeout_s=timeout_s)

    hosts = {name: Host(name) for name in ("hangs", "b")}
    spec = fleet(hosts)
    found = probe_hosts(Pool(Hanging(hosts), spec.hosts), hosts, spec, deadline_s=0.1)
    never.set()
    hanging = found["hangs"]
    assert isinstance(hanging, Unreached)
    assert (hanging.kind, hanging.message) == ("timeout", "no answer after 0.1 s")
    assert isinstance(found["b"], Reached)


def test_the_request_names_what_the_planner_may_ask() -> None:
    spec = fleet(["a"])
    asked = probe_request(HostSpec(name="a", address="192.0.2.1", ports=(1000, 1010), paths={"models": "/nvme"}), spec)
    assert asked["fleet"] == {"id": "0123abcd", "name": "acme"}
    assert (asked["ports"], asked["paths"]) == ([1000, 1010], {"models": "/nvme"})
