"""A fleet as somebody who looks on would hear it, made by hand. Used by the tests of the fleet's place and its benchmark."""

from dataclasses import replace
from typing import Any

from deployer.app.looking import Figures, FleetNow, GpuNow, HostNow
from deployer.app.session import Session
from deployer.app.values import DeploymentState, HostState, ReplicaState, Status, UnitState
from deployer.state.samples import GpuSample

GIB = 1 << 30


def gpu(host: str, index: int, *, used: int | None = 50, replica: str | None = None, tick: int = 0, **more: Any) -> GpuNow:
    history = tuple((index * 13 + n * 7) % 100 for n in range(tick, tick + 59))
    sample = GpuSample(f"GPU-{host}-{index}", index, "NVIDIA H100 80GB HBM3", 80 * GIB, 66 * GIB, used, 60)
    return GpuNow(replace(sample, **more), replica, (*history, used))


def host(name: str, gpus: int = 2, state: str = "up", **more: Any) -> HostNow:
    heard = 0.4 if state == "up" else None
    found = HostNow(name, state, heard, tuple(gpu(name, n) for n in range(gpus)), 512 * GIB, 400 * GIB, 0.2)
    return replace(found, **more)


def deployment(name: str, state: str = "deployed", *where: str, **more: Any) -> DeploymentState:
    """`where`: "h1:0", one replica each."""
    replicas = []
    for slot, place in enumerate(where):
        machine, _, number = place.partition(":")
        unit = UnitState(machine, f"deployer-acme-{name}-{slot}-0.service", 0, 20000 + slot, (f"GPU-{machine}-{number}",))
        replicas.append(ReplicaState(slot, state, None, None, (unit,)))
    return replace(DeploymentState(name, state, 14, f"http://gw/{name}/v1", tuple(replicas)), **more)


def fleet_now(hosts: list[HostNow], deployments: list[DeploymentState], *, tick: int = 1, **figures: Figures) -> FleetNow:
    told = tuple(HostState(one.name, one.state == "up") for one in hosts)
    status = Status("acme", "2026-01-01T00:00:00+00:00", tuple(deployments), told)
    return FleetNow(tick, status, {one.name: one for one in hosts}, figures)


class Looking(Session):
    """A session that hears what a test says."""

    said = FleetNow()

    def watch(self, every_s: float = 1.0) -> None:
        """What is heard is told by `hear`."""

    @property
    def now(self) -> FleetNow:
        return self.said

    def hear(self, hosts: list[HostNow], deployments: list[DeploymentState], **figures: Figures) -> None:
        self.said = fleet_now(hosts, deployments, tick=self.said.tick + 1, **figures)
