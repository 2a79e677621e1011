"""The fake: hosts that answer as real ones do, and fail on demand."""

from pathlib import Path

import pytest

from deployer.errors import DeployerError, HostKeyError, Unreachable
from deployer.spec.models import HostSpec
from deployer.transport.base import Transport
from deployer.transport.fake import GIB, FakeHost, FakeTransport
from deployer.transport.simulation.faults import Faults
from tests.agent.support import FLEET, Run, connect, deployment, probe, run_request, said, unit_name


def spec(name: str) -> HostSpec:
    return HostSpec(name=name, address="10.0.0.11")


def test_it_is_a_transport(tmp_path: Path) -> None:
    transport: Transport = FakeTransport(
        {"a": FakeHost("a", tmp_path), "b": FakeHost("b", tmp_path, gpus=8, gpu_memory=24 * GIB)}
    )
    for name, gpus in (("a", 0), ("b", 8)):
        connection = transport.connect(spec(name), timeout_s=1)
        first = next(connection.open("probe", {"fleet": FLEET}).lines())
        assert (first["hostname"], len(first["gpus"])) == (name, gpus)
        connection.close()


@pytest.mark.parametrize(("why", "error"), [("timeout", Unreachable), ("auth", Unreachable), ("key", HostKeyError)])
def test_a_host_that_cannot_be_reached_says_why(tmp_path: Path, why: str, error: type[Unreachable]) -> None:
    host = FakeHost("a", tmp_path)
    host.unreachable = why
    with pytest.raises(error) as failed:
        FakeTransport([host]).connect(spec("a"), timeout_s=2)
    assert (failed.value.where, failed.value.kind) == ("a", why)


def test_a_host_that_is_not_there_refuses(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="refused"):
        FakeTransport([]).connect(spec("z"), timeout_s=2)


def test_a_dropped_connection_breaks_its_channels_and_no_others(tmp_path: Path) -> None:
    host = FakeHost("a", tmp_path)
    connection = connect(host)
    channel = connection.open("put", {"fleet": FLEET, "blobs": [{"sha256": "a" * 64, "size": 5}]})
    lines = channel.lines()
    next(lines)
    host.drop()
    with pytest.raises(Unreachable):
        next(lines)
    with pytest.raises(Unreachable):
        connection.open("probe", {"fleet": FLEET})
    with pytest.raises(Unreachable):
        channel.send({"x": 1})
    assert probe(host)["hostname"] == "a"


def test_two_channels_of_one_connection_run_side_by_side(tmp_path: Path) -> None:
    connection = connect(FakeHost("a", tmp_path))
    waiting = connection.open("put", {"fleet": FLEET, "blobs": [{"sha256": "a" * 64, "size": 5}]})
    assert next(waiting.lines())["type"] == "want"
    assert said(connection.open("probe", {"fleet": FLEET}))[0]["type"] == "probe"


def test_an_error_of_the_agent_names_the_host(tmp_path: Path) -> None:
    with pytest.raises(DeployerError) as failed:
        said(connect(FakeHost("a", tmp_path)).open("probe", {}))
    assert failed.value.where == "a"


def test_a_reboot_brings_back_what_is_enabled(tmp_path: Path) -> None:
    host = FakeHost("a", tmp_path)
    Run(host, run_request(deployment()))
    boot = probe(host)["boot_id"]
    host.machine.units.call(["disable", unit_name()])
    host.machine.units.call(["enable", unit_name()])
    host.reboot()
    assert host.running() == [unit_name()]
    host.machine.units.call(["disable", unit_name()])
    host.reboot()
    assert host.running() == []
    assert probe(host)["boot_id"] != boot


def test_two_units_on_one_port_do_not_both_come_up(tmp_path: Path) -> None:
    host = FakeHost("a", tmp_path)
    Run(host, run_request(deployment()))
    run = Run(host, run_request(deployment("embed")))
    assert run.result == "rolled-back"
    assert "Address already in use" in "\n".join(run.report["transactions"]["embed"]["log"])


def test_a_unit_that_was_changed_is_as_systemd_knows_it_until_a_reload(tmp_path: Path) -> None:
    host = FakeHost("a", tmp_path)
    Run(host, run_request(deployment()))
    units = host.machine.units
    host.path(f"/etc/systemd/system/{unit_name()}").write_text("[Service]\nExecStart=/bin/x --port 1\n", encoding="utf-8")
    assert "port 20000" in (units.text(unit_name()) or "")
    units.call(["daemon-reload"])
    assert "port 1" in (units.text(unit_name()) or "")


def test_a_connection_that_was_closed_opens_nothing_more(tmp_path: Path) -> None:
    host = FakeHost("a", tmp_path)
    connection = connect(host)
    connection.close()
    connection.close()
    with pytest.raises(Unreachable):
        connection.open("probe", {"fleet": FLEET})
    assert probe(host)["hostname"] == "a"


def test_a_connection_that_breaks_after_some_lines_breaks_for_all_its_channels(tmp_path: Path) -> None:
    host = FakeHost("a", tmp_path)
    connection = connect(host)
    waiting = connection.open("put", {"fleet": FLEET, "blobs": [{"sha256": "a" * 64, "size": 5}]}).lines()
    next(waiting)
    host.faults.cut_after = 0
    with pytest.raises(Unreachable):
        next(connection.open("probe", {"fleet": FLEET}).lines())
    with pytest.raises(Unreachable):
        next(waiting)


def test_of_several_that_are_given_to_one_meets_the_break_and_what_was_under_way_counts_no_more() -> None:
    faults = Faults(cut_after_bytes=10)
    assert [faults.may_give(8), faults.may_give(20)] == [8, 10]
    faults.gave(10)
    assert faults.may_give(8) == 0  # here it breaks
    faults.gave(8)  # by then these were on their way
    assert faults.may_give(8) == 8
    assert faults.cut_after_bytes is None
