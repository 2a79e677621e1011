"""The revisions of a deployment as JSON. Pure. Called by app for `history`."""

from typing import Any

from deployer.plan.revisions import revisions
from deployer.state.observed import Observed


def history(observed: Observed, name: str) -> list[dict[str, Any]]:
    """Newest first: {"revision", "at", "who", "why", "git_commit", "hosts", "current"}."""
    return [
        {
            "revision": one.number,
            "at": one.at,
            "who": one.who,
            "why": one.why,
            "git_commit": one.commit,
            "hosts": list(one.hosts),
            "current": one.current,
        }
        for one in revisions(observed, name)
    ]
