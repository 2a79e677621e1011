"""The values that front ends are handed. The terminal UI takes them from here: it knows app, plan and state alone."""

from deployer.execute.attach import Running
from deployer.execute.endpoint import Endpoint
from deployer.execute.events import Event, Failure, HostReport, Report
from deployer.execute.follow import Control
from deployer.execute.logs import LogLine, LogStream
from deployer.execute.standing import DeploymentState, HostState, ReplicaState, Status, UnitState
from deployer.lock.request import Progress

__all__ = [
    "Control",
    "DeploymentState",
    "Endpoint",
    "Event",
    "Failure",
    "HostReport",
    "HostState",
    "LogLine",
    "LogStream",
    "Progress",
    "ReplicaState",
    "Report",
    "Running",
    "Status",
    "UnitState",
]
