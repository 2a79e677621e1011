"""Is a canary clearly worse than what it stands beside? By what HAProxy counts for its servers. Pure; called by the step
`canary.watch`, which reads `show stat` of all workers.
"""

from __future__ import annotations

import csv
from typing import Any, Dict, List, NamedTuple, Set, Tuple

from deployer.agent import wire

GOOD = wire.CANARY_GOOD
WORSE = "worse"
FEW = "few"  # too few requests: nothing is said of it, neither good nor bad
UNTOLD = FEW, "not judged: the gateway does not say what it counts"


class Counts(NamedTuple):
    """Of one or several servers. `failed`: answers of 500 and above, broken connections and answers, and what was tried again
    elsewhere. `time_ms`: the sum of the answer times.
    """

    requests: int = 0
    failed: int = 0
    time_ms: float = 0.0

    def plus(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.failed + other.failed, self.time_ms + other.time_ms)

    @property
    def rate(self) -> float:
        return self.failed / self.requests if self.requests else 0.0

    @property
    def average_ms(self) -> float:
        return self.time_ms / self.requests if self.requests else 0.0

    @property
    def words(self) -> str:
        return "%d of %d requests failed, %.0f ms on average" % (self.failed, self.requests, self.average_ms)


def read(text: str, ports: Set[int]) -> Dict[int, Counts]:
    """By port, from one worker's `show stat`: of the servers on loopback with these ports."""
    found: Dict[int, Counts] = {}
    for row in csv.DictReader(text.lstrip("# ").splitlines()):
        host, _, port = (row.get("addr") or "").rpartition(":")
        if host != "127.0.0.1" or not port.isdigit() or int(port) not in ports:
            continue
        failed = sum(_number(row, name) for name in ("hrsp_5xx", "econ", "eresp", "wretr"))
        requests = max(_number(row, "stot"), failed)
        one = Counts(requests, failed, float(_number(row, "rtime") * requests))
        found[int(port)] = found.get(int(port), Counts()).plus(one)
    return found


def _number(row: Dict[str, Any], name: str) -> int:
    text = row.get(name) or ""
    return int(text) if text.isdigit() else 0


class Tally:
    """Counts since the first `take`, over all workers. A worker that ends takes its counts along: the last ones are kept."""

    def __init__(self, canary: int, against: List[int]) -> None:
        self.ports = {canary, *against}
        self._canary = canary
        self._first: Dict[Tuple[str, int], Counts] = {}
        self._last: Dict[Tuple[str, int], Counts] = {}
        self._begun = False

    def take(self, texts: Dict[str, str]) -> None:
        """`texts`: `show stat` by worker. What is counted until the first time does not count."""
        for worker, text in texts.items():
            for port, counts in read(text, self.ports).items():
                self._last[worker, port] = counts
                if not self._begun:
                    self._first[worker, port] = counts
        self._begun = True

    @property
    def both(self) -> Tuple[Counts, Counts]:
        """The canary's, and the old ones'."""
        mine, others = Counts(), Counts()
        for (worker, port), now in self._last.items():
            then = self._first.get((worker, port), Counts())
            requests = now.requests - then.requests
            # HAProxy's own average is of the last 1024 requests, and stands for all since then
            counts = Counts(requests, now.failed - then.failed, now.average_ms * requests)
            mine, others = (mine.plus(counts), others) if port == self._canary else (mine, others.plus(counts))
        return mine, others


def judge(canary: Counts, old: Counts, rules: Dict[str, Any], slow: bool = True) -> Tuple[str, str]:
    """A verdict, and why in numbers. `slow`: answer times count too. Where the old ones had too few requests, the canary's
    errors are measured against none, and its times are not measured.
    """
    said = "the canary: %s; the old: %s" % (canary.words, old.words)
    least = int(rules["min_requests"])
    if canary.requests < least:
        return FEW, "too few requests to judge it (%d, and %d are needed); %s" % (canary.requests, least, said)
    known = old.requests >= least
    more = canary.rate - (old.rate if known else 0.0)
    if canary.failed >= int(rules["errors_least"]) and more > float(rules["errors_more"]):
        return WORSE, "it fails more often: %s" % said
    over = canary.average_ms - old.average_ms
    if slow and known and over > float(rules["slower_ms"]) and canary.average_ms > old.average_ms * float(rules["slower"]):
        return WORSE, "it answers slower: %s" % said
    return GOOD, "no worse than the old: %s" % said
