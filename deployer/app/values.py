"""The values that front ends are handed. The terminal UI takes them from here: it knows app, plan and state alone.

Those that come with the machinery of an apply are loaded when somebody uses them: the first screen does not wait for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from deployer.execute.events import Event, Failure, HostReport, Report
from deployer.execute.standing import DeploymentState, HostState, ReplicaState, Status, UnitState
from deployer.lock.request import Progress

if TYPE_CHECKING:
    from deployer.execute.attach import Running
    from deployer.execute.endpoint import Endpoint
    from deployer.execute.follow import Control
    from deployer.execute.logs import LogLine, LogStream

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

_LATE = {"Running": "attach", "Endpoint": "endpoint", "Control": "follow", "LogLine": "logs", "LogStream": "logs"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"deployer.execute.{_LATE[name]}"), name)
