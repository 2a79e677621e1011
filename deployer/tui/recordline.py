"""A record of the request log as one line: what failed is seen at once, what belongs together stands below each other. Pure.
Used by the tab of logs. Texts of people, which `requests: full` keeps, are not shown: the screen may be somebody else's too.
"""

from collections.abc import Sequence

from deployer.app.records import Record
from deployer.tui.line import Line, Span, clean, line


def record_line(record: Record, name: Sequence[Span] = ()) -> Line:
    """`name`: of its replica, where there are several."""
    role = status_role(record.status)
    return line(
        (f"{clean(record.at[11:23])} ", "dim"),
        *name,
        (f"{record.status}", f"bold {role}".strip()),
        (f"  {clean(record.route):<24}", role),
        f"  {record.took:<20}",
        f"  {record.tokens:<16}" if record.tokens else " " * 18,
        (f"  {clean(record.id)}", "dim"),
    )


def status_role(status: int) -> str:
    """The server's fault, the client's (499: it went away), or none."""
    return "bad" if status >= 500 else "warn" if status >= 400 else "good"
