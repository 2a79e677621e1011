"""The revisions of a deployment as the hosts remember them. Pure. Called by app for `history`."""

from typing import Any

from deployer.state.observed import Observed, Reached


def history(observed: Observed, name: str) -> list[dict[str, Any]]:
    """Newest first: {"revision", "at", "who", "why", "git_commit", "hosts", "current"}."""
    found: dict[int, dict[str, Any]] = {}
    for host, reached in sorted(observed.items()):
        if not isinstance(reached, Reached):
            continue
        record = reached.probe.get("records", {}).get(name)
        entries = [dict(entry) for entry in reached.probe.get("history", {}).get(name, ())]
        if record and record.get("revision") not in {entry.get("revision") for entry in entries}:
            entries.append(dict(record))
        for entry in entries:
            _add(found, host, entry, current=record is not None and record.get("revision") == entry.get("revision"))
    return [found[number] for number in sorted(found, reverse=True)]


def _add(found: dict[int, dict[str, Any]], host: str, entry: dict[str, Any], *, current: bool) -> None:
    number = int(entry.get("revision", 0))
    line = found.setdefault(
        number,
        {
            "revision": number,
            "at": entry.get("at"),
            "who": entry.get("who"),
            "why": entry.get("why"),
            "git_commit": entry.get("git_commit"),
            "hosts": [],
            "current": False,
        },
    )
    line["hosts"].append(host)
    line["current"] = line["current"] or current
