"""`deployer WORDS` in a process of its own, over fake hosts below a folder: python -m tests.tui.alone MACHINES WORDS…

Used by the tests that need a real terminal.
"""

import sys
from pathlib import Path

import deployer.app.fleet
from deployer.cli.main import main
from deployer.transport.fake import FakeHost, FakeTransport


def run(machines: Path, words: list[str]) -> int:
    hosts = {name: FakeHost(name, machines, gpus=2) for name in ("h1", "h2")}
    deployer.app.fleet.open_transport = lambda *_: FakeTransport(hosts)
    return main(words)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
