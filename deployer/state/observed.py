"""What hosts said when they were asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.agent.wire import Probe


@dataclass(frozen=True, slots=True)
class Reached:
    """A host that answered. `seconds`: how long its probe took; `clock_s`: how far its clock is ahead of ours at least, None when
    nobody compared them.
    """

    name: str
    probe: Probe
    seconds: float = 0.0
    clock_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unreached:
    """A host that did not answer: data, not an exception. `kind`: "timeout" | "refused" | "key" | "auth" | "sudo" | "agent".
    `hint`: the next thing to do.
    """

    name: str
    kind: str
    message: str
    hint: str | None = None


Observed = Mapping[str, Reached | Unreached]
