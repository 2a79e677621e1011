"""What every report of an apply owes to its reader."""

from deployer.execute.events import RESULT_CODES, Report


def says_why(report: Report) -> bool:
    """Failed hosts by a failure, others by their message."""
    failed = {failure.host for failure in report.failures if failure.message}
    bad = [host for host in report.hosts.values() if RESULT_CODES.get(host.result, 1)]
    return all(h.name in failed if RESULT_CODES.get(h.result, 1) in (1, 5) else h.message for h in bad)
