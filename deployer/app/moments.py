"""A moment as a person gives one ("2h", "2026-03-01T08:00:00Z"), as the roster keeps it. Used by holds, rollbacks and cordons:
every `until` is read here.
"""

import re
from datetime import UTC, datetime, timedelta

from deployer.errors import UsageError

_PART = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """ "10m", "1h30m" → seconds. Raises UsageError."""
    if not re.fullmatch(r"([0-9]{1,6}[smhd])+", text):
        raise UsageError(f"{text} is no duration", hint="write it as 30s, 10m, 2h or 1d")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))


def moment(text: str | None, now: datetime | None = None) -> str | None:
    """As ISO 8601 in UTC: a time as it is (without a zone it is this machine's), a duration from now on. Raises UsageError
    for what is neither, and for what is over already.
    """
    if text is None:
        return None
    now = now or datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = now + timedelta(seconds=seconds(text))
        except (UsageError, OverflowError):
            hint = "write it as 2h, 3d or 2026-03-01T08:00:00Z"
            raise UsageError(f"{text} is neither a time nor a duration", hint=hint) from None
    try:
        found = found.astimezone(UTC)
    except (OverflowError, ValueError):
        raise UsageError(f"{text} is too far away", hint="write it as 2h, 3d or 2026-03-01T08:00:00Z") from None
    if found <= now:
        raise UsageError(f"{text} is over already", hint="give a time to come, or leave --until out")
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")
