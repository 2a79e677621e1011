"""What `resolve.update` is asked, and what it says while it works."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from deployer.errors import LockfileError
from deployer.spec.models import Packages
from deployer.state.locked import Locked
from deployer.state.needs import EnvironmentNeed, ModelNeed


class Secret(Protocol):
    """A value that cannot be printed."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class WantedModel:
    """One model of one deployment. `where` is file:line of the YAML, for messages. `accept_license` is not checked
    here (the planner's guard does), it only decides whether a note is worth a line.
    """

    need: ModelNeed
    token: Secret | None = None
    accept_license: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class LockRequest:
    """`upgrade`: keys of models ("hub:org/name@main") and names of environments to resolve anew, or "all"."""

    root: Path
    models: tuple[WantedModel, ...] = ()
    environments: tuple[EnvironmentNeed, ...] = ()
    packages: Packages = Packages()
    existing: Locked = field(default_factory=Locked)
    upgrade: frozenset[str] | Literal["all"] = frozenset()

    def upgrades(self, key: str) -> bool:
        return self.upgrade == "all" or key in self.upgrade


@dataclass(frozen=True, slots=True)
class Progress:
    """`state`: "resolving" | "kept" | "locked" | "changed" | "dropped" | "failed" | "note"."""

    kind: Literal["model", "environment", "tool"]
    key: str
    state: str
    detail: str = ""


OnProgress = Callable[[Progress], None]


class LockFailed(LockfileError):
    """Several things could not be locked; `errors` holds each with its own where and hint."""

    def __init__(self, errors: tuple[LockfileError, ...]) -> None:
        self.errors = errors
        lines = [f"{len(errors)} things could not be locked:"]
        for error in errors:
            lines.append(f"  {error.where}: {error.what}" if error.where else f"  {error.what}")
            lines += [f"    {error.hint}"] if error.hint else []
        super().__init__("\n".join(lines))
