"""What the simulated HAProxy says at its socket. Called by machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_FIELDS = ("addr", "scur", "qcur", "stot", "hrsp_5xx", "econ", "eresp", "wretr", "rtime")


@dataclass
class Traffic:
    """Of each look: so many requests more, `failed` of them, each answered in `ms`."""

    requests: int
    failed: int = 0
    ms: int = 20
    looks: int = 0


def answer(line: str, traffic: Mapping[str, Traffic], ports: Mapping[str, Sequence[int]]) -> bytes:
    """To `show proc`, or to a worker's `show stat`."""
    if line == "show proc":
        return b"#<PID> <type>\n1 master\n2 worker\n"
    rows = ["# " + ",".join(_FIELDS)]
    for match, one in traffic.items():
        one.looks += 1
        for port in ports[match]:
            counts = (one.requests * one.looks, one.failed * one.looks)
            rows.append(f"127.0.0.1:{port},0,0,{counts[0]},{counts[1]},0,0,0,{one.ms}")
    return "\n".join(rows).encode()
