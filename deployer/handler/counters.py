"""What the process counts, as text for Prometheus. It is appended to what the engine says of itself."""

from __future__ import annotations

from collections import defaultdict

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counters:
    """All names begin with deployer_handler_; one event loop and a few threads write, so that numbers are only added to."""

    def __init__(self) -> None:
        self.running = 0
        self.dropped: dict[str, int] = defaultdict(int)  # records of the request log, by reason
        self.logged = 0
        self._requests: dict[int, int] = defaultdict(int)
        self._failed: dict[str, int] = defaultdict(int)
        self._calls: dict[str, list[float]] = {}  # one count per bound and one above, then the sum

    def answered(self, status: int) -> None:
        self._requests[status] += 1

    def failed(self, where: str) -> None:
        self._failed[where] += 1

    def called(self, where: str, seconds: float) -> None:
        row = self._calls.setdefault(where, [0.0] * (len(BOUNDS) + 2))
        row[next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += 1
        row[-1] += seconds

    def text(self) -> str:
        lines = _series(
            "requests_total", "counter", "Requests answered.", {f'status="{k}"': v for k, v in self._requests.items()}
        )
        lines += _series("requests_running", "gauge", "Requests under way.", {"": self.running})
        failed = {f'where="{k}"': v for k, v in self._failed.items()}
        lines += _series("script_errors_total", "counter", "Requests that failed in a script.", failed)
        lines += _series("log_records_total", "counter", "Records of the request log that were handed over.", {"": self.logged})
        dropped = {f'reason="{k}"': v for k, v in self.dropped.items()}
        lines += _series("log_dropped_total", "counter", "Records of the request log that were lost.", dropped)
        return "".join(f"{line}\n" for line in [*lines, *self._histogram()])

    def _histogram(self) -> list[str]:
        name, lines = "deployer_handler_script_seconds", []
        if self._calls:
            lines = [f"# HELP {name} Time in functions of the scripts.", f"# TYPE {name} histogram"]
        for where, row in sorted(self._calls.items()):
            count = 0
            for bound, more in zip((*BOUNDS, "+Inf"), row[:-1]):  # noqa: B905  Python 3.9
                count += int(more)
                lines.append(f'{name}_bucket{{where="{where}",le="{bound}"}} {count}')
            lines += [f'{name}_sum{{where="{where}"}} {row[-1]:.6f}', f'{name}_count{{where="{where}"}} {count}']
        return lines


def _series(name: str, kind: str, about: str, values: dict[str, int]) -> list[str]:
    full = f"deployer_handler_{name}"
    rows = [f"{full}{{{labels}}} {value}" if labels else f"{full} {value}" for labels, value in sorted(values.items())]
    return [f"# HELP {full} {about}", f"# TYPE {full} {kind}", *rows]
