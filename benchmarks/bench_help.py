"""`deployer --help`, the whole process, against a Python that does nothing."""

import sys

from benchmarks.measure import DEPLOYER, PYTHON, at_most, finish, process, side_by_side, told


def main() -> int:
    nothing, help_, version = side_by_side(
        15, process([PYTHON, "-c", "pass"]), process([DEPLOYER, "--help"]), process([DEPLOYER, "version"])
    )
    return finish(
        [
            at_most("deployer --help", help_, nothing, "python3 -c pass", 5),
            told("deployer version", version, nothing, "python3 -c pass"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
