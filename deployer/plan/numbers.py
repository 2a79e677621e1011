"""Numbers of revisions: the next one, and the one that first ran a process. Called by make and replica."""

from deployer.state.observed import Observed, Reached


def highest(observed: Observed) -> dict[str, int]:
    """The highest that any host knows, by deployment."""
    found: dict[str, int] = {}
    for reached in observed.values():
        if not isinstance(reached, Reached):
            continue
        for name, revisions in reached.probe.get("history", {}).items():
            found[name] = max([found.get(name, 0), *(r["revision"] for r in revisions)])
        for name, record in reached.probe.get("records", {}).items():
            found[name] = max(found.get(name, 0), record.get("revision", 0))
    return found


def first_with(observed: Observed, deployment: str, runtime_digest: str) -> int:
    """What REVISION says in a process: the revision that started it. One that goes on keeps its number, so that a later
    revision which does not touch it has no file to write.
    """
    for _, reached in sorted(observed.items()):
        record = reached.probe.get("records", {}).get(deployment, {}) if isinstance(reached, Reached) else {}
        for resource in record.get("resources", ()):
            payload = resource.get("payload", {})
            if payload.get("runtime_digest") == runtime_digest and payload.get("revision") is not None:
                return int(payload["revision"])
    return highest(observed).get(deployment, 0) + 1
