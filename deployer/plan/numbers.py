"""Numbers of revisions: the next one, and the one that first ran a process. Called by make and replica."""

from functools import cached_property

from deployer.state.observed import Observed, Reached


def highest(observed: Observed) -> dict[str, int]:
    """The highest that any host knows, by deployment."""
    found: dict[str, int] = {}
    for reached in observed.values():
        if not isinstance(reached, Reached):
            continue
        for name, revisions in reached.probe.get("history", {}).items():
            found[name] = max([found.get(name, 0), *[r["revision"] for r in revisions]])
        for name, record in reached.probe.get("records", {}).items():
            found[name] = max(found.get(name, 0), record.get("revision", 0))
    return found


class Ran:
    """Which revision first ran what. Looked up when the first one asks: most replicas do not."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def first_with(self, deployment: str, runtime_digest: str) -> int:
        """What REVISION says in a process: the revision that started it. One that goes on keeps its number, so that a later
        revision which does not touch it has no file to write.
        """
        found = self._first.get((deployment, runtime_digest))
        return self._highest.get(deployment, 0) + 1 if found is None else found

    @cached_property
    def _highest(self) -> dict[str, int]:
        return highest(self._observed)

    @cached_property
    def _first(self) -> dict[tuple[str, str | None], int]:
        """By deployment and digest, the first host's."""
        found: dict[tuple[str, str | None], int] = {}
        for _, reached in sorted(self._observed.items()):
            for name, record in reached.probe.get("records", {}).items() if isinstance(reached, Reached) else ():
                for resource in record.get("resources", ()):
                    payload = resource.get("payload", {})
                    if payload.get("revision") is not None:
                        found.setdefault((name, payload.get("runtime_digest")), int(payload["revision"]))
        return found
