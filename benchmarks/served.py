"""Lab hosts that serve the tiny model, for benchmarks of what clients meet. Used by bench_gateway and bench_rollout.

Needs root on Linux. The lab stays below .deployer/bench-NAME with --keep.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.measure import PYTHON, ROOT
from deployer.lab import lab, network, places
from tests.lab.commands import Deployer, add_model
from tests.lab.conftest import LabFleet


@contextmanager
def lab_with(name: str, hosts: int) -> Iterator[Deployer]:
    """A fleet with so many lab hosts and nothing deployed."""
    root = ROOT / ".deployer" / f"bench-{name}"
    root.mkdir(parents=True, exist_ok=True)
    (root / "deployer.yaml").write_text(f"id: be7c4b3e\nname: bench-{name}\ngateway: {{insecure: true}}\n")
    add_model(root)
    try:
        lab.up(root, hosts)
        yield Deployer(LabFleet(root))
    finally:
        if "--keep" not in sys.argv:
            lab.down(root)
            shutil.rmtree(root, ignore_errors=True)


def loaded(command: Deployer, host: str, url: str, *words: str) -> dict[str, Any]:
    """The load generator as a process on the host's own network, where loopback is the host's: what it says as JSON."""
    record = places.read_record(places.lab_key(command.root))
    assert record is not None, "the lab is gone"
    space = next(network.namespace(record, one) for one in record.hosts if one.name == host)
    argv: Sequence[str] = ("ip", "netns", "exec", space, PYTHON, "-m", "tests.lab.load", url, "--json", *words)
    done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"the load on {url} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
