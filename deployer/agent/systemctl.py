"""systemd's answers as values. Called by the probe, the steps on units, and by whoever asks if a run is alive."""

from __future__ import annotations

from typing import Dict, Optional, Sequence

from deployer.agent.system import Done, Silent, System, TooLong

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "StateChangeTimestampMonotonic",
    "MainPID",
    "UnitFileState",
    "DropInPaths",
    "ControlGroup",
    "InvocationID",
    "MemoryCurrent",
)

#: What somebody who only watches asks for. Time goes on in a simulated host when somebody asks for more.
GLANCE = ("Id", "ActiveState", "SubState", "NRestarts", "StateChangeTimestampMonotonic", "UnitFileState")

ASK_S = 12.0  # less than the controller waits for a probe, so that it hears why there is none

UP = frozenset({"active", "activating", "reloading", "refreshing"})


def ask(system: System, units: Sequence[str], properties: Sequence[str] = PROPERTIES) -> Dict[str, Dict[str, str]]:
    """Properties of units by name, in one call. Raises Silent."""
    if not units:
        return {}
    try:
        done = system.run(["systemctl", "show", "--no-pager", "-p", ",".join(properties), "--", *units], timeout=ASK_S)
    except TooLong:
        raise Silent("systemd does not answer within %.0f s" % ASK_S) from None
    except OSError as error:
        raise Silent("systemd cannot be asked: systemctl: %s" % (error.strerror or error)) from None
    found: Dict[str, Dict[str, str]] = {}
    for block in done.out.decode("utf-8", "replace").split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines())
        told = {key: value for key, _, value in pairs}
        if "Id" in told:
            found[told["Id"]] = told
    if not found:
        raise Silent("systemd does not answer: %s" % (done.lines[-1:] or ["exit status %d" % done.rc])[0][:300])
    return found


def show(system: System, units: Sequence[str], properties: Sequence[str] = PROPERTIES) -> Optional[Dict[str, Dict[str, str]]]:
    """The same; None when systemd could not be asked."""
    try:
        return ask(system, units, properties)
    except Silent:
        return None


def ask_one(system: System, unit: str) -> Dict[str, str]:
    """Raises Silent."""
    found = ask(system, [unit])
    return found.get(unit) or next(iter(found.values()))


def show_one(system: System, unit: str) -> Dict[str, str]:
    """Empty when systemd could not be asked: for who asks again, or does nothing then."""
    try:
        return ask_one(system, unit)
    except Silent:
        return {}


def is_up(properties: Dict[str, str]) -> bool:
    return properties.get("ActiveState") in UP


def call(system: System, *words: str, timeout: float = 60) -> Done:
    """Raises TooLong, which names the words, and OSError."""
    try:
        return system.run(["systemctl", *words], timeout=timeout)
    except TooLong as error:
        raise TooLong(" ".join(["systemctl", *words]), timeout, error.log) from None
