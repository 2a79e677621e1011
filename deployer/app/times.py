"""Times as a person reads them. Used by both front ends wherever one is shown."""

from datetime import UTC, datetime


def clock(seconds: float) -> str:
    """ "0:48", "1:04:10"."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def ago(at: str | None, now: datetime | None = None) -> str:
    """ "3 min ago"; the text itself when it is no time, "–" when there is none."""
    if not at:
        return "–"
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return at
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for unit, size in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' * (unit == 'day' and number != 1)} ago"
    return f"{max(0, int(seconds))} s ago"


def passed(since: str | None, now: datetime | None = None) -> float | None:
    """Seconds since then; None when there is no such time."""
    try:
        then = datetime.fromisoformat(since or "")
    except ValueError:
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())


def starting(phase: str, since: str | None, expected_s: float | None, now: datetime | None = None) -> str:
    """How far a start is: "loading shards 5 of 15, 0:37 of about 0:52"."""
    seconds = passed(since, now)
    if seconds is None:
        return f"{phase}, about {clock(expected_s)} in all" if expected_s else phase
    return f"{phase}, {clock(seconds)}{f' of about {clock(expected_s)}' if expected_s else ''}"


def age(seconds: float) -> str:
    """How long ago something was heard: "14s", "2m14s", "1h02m", "3d4h"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
