"""What is free on the hosts, and whether it is enough."""

from deployer.app.free import rooms, shortage
from deployer.app.looking import FleetNow, GpuNow, HostNow
from deployer.state.samples import GpuSample

GIB = 1 << 30


def gpu(number: int, used: int = 0, replica: str | None = None) -> GpuNow:
    return GpuNow(GpuSample(f"GPU-{number}", number, "H100", 80 * GIB, used), replica)


NOW = FleetNow(
    hosts={
        "h1": HostNow(
            "h1", "up", 0.5, (gpu(0, used=700 << 20), gpu(1, replica="chat/0"), gpu(2, used=9 * GIB)), memory_available=64 * GIB
        ),
        "h2": HostNow("h2", "up", 0.5, (gpu(0), gpu(1))),
    }
)


def test_a_gpu_is_free_when_neither_a_replica_nor_somebody_else_is_on_it() -> None:
    first, second = rooms(NOW, ["h2", "h1"])
    assert (first.host, len(first.free), len(first.gpus), first.gpu_bytes) == ("h1", 1, 3, 80 * GIB)
    assert (first.memory_free, second.memory_free) == (64 * GIB, None)


def test_a_host_that_was_never_heard_is_not_said_to_have_nothing() -> None:
    (room,) = rooms(FleetNow(), ["h1"])
    assert not room.heard
    assert shortage([room], 1, 1) is None


def test_a_replica_stands_on_one_host() -> None:
    found = rooms(NOW, ["h1", "h2"])
    assert shortage(found, 1, 3) is None
    assert shortage(found, 2, 1) is None
    assert shortage(found, 2, 2) == "2 replicas with 2 GPUs each want more than is free: 3 GPUs on h1, h2, room for 1"
    assert shortage(found[:1], 2, 1) == "1 replica with 2 GPUs each wants more than is free: 1 GPU on h1, room for 0"


def test_what_needs_no_gpu_never_lacks_one() -> None:
    assert shortage(rooms(NOW, ["h1"]), 0, 99) is None
