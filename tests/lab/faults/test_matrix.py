"""A sample of the fault matrix, small enough for every run of the tests: each fault, each kind of step and each operation at
least once. The whole of it: script/faults. Leaves build/faults-sample/faults.md, which script/test names at its end.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.agent.steps import STEPS
from tests.lab.commands import ROOT
from tests.lab.faults.bench import bench
from tests.lab.faults.cells import Cell, Fault, cells_of, sample
from tests.lab.faults.matrix import Matrix
from tests.lab.faults.operations import OPERATIONS
from tests.lab.faults.report import Book

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

#: Another seed is another sample; a red one is run again by it.
SEED = int(os.environ.get("DEPLOYER_FAULTS_SEED", "4"))
CELLS = 20

#: Steps that no operation of the matrix has yet: a bare host's first apply, the last destroy that leaves it bare again, and what
#: wants a second host, a canary, old revisions or a hand-made unit (those have faults on simulated hosts only).
ELSEWHERE = {
    "canary.watch",
    "scripts.push",
    "unit.adapters",
    "gateway.peers",
    "revisions.drop",
    "unit.retire",
    "agent.remove",
    "artifact.remove",
    "env.build",
    "model.copy",
    "model.download",
    "engine.check",
    "package.install",
    "package.remove",
    "run.undo",
    "tool.install",
}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    root: Path = tmp_path_factory.mktemp("faults") / "fleet"
    with bench(root) as made:
        found = Matrix(made)
        found.prepare()
        yield found


@pytest.fixture(scope="module")
def every(matrix: Matrix) -> list[Cell]:
    return [cell for name, one in OPERATIONS.items() for cell in cells_of(name, matrix.steps(one))]


def test_the_matrix_knows_every_step_that_the_agent_can_do(every: list[Cell]) -> None:
    assert {cell.kind for cell in every} == set(STEPS) - ELSEWHERE
    assert {cell.fault for cell in every} == set(Fault)


def test_a_sample_of_the_matrix_is_green(matrix: Matrix, every: list[Cell]) -> None:
    chosen = sample(every, SEED, CELLS)
    assert {cell.kind for cell in chosen} == {cell.kind for cell in every}
    assert {cell.fault for cell in chosen} == set(Fault)
    assert {cell.operation for cell in chosen} == set(OPERATIONS)
    book = Book(ROOT / "build/faults-sample", fresh=True)
    for cell in chosen:
        seen = matrix.run(cell)
        book.add(seen)
        print(seen.line())
    said = book.write(chosen, f"A sample of the fault matrix, seed {SEED}")
    red = [one for one in book.rows() if not one["ok"]]
    assert not red, said + "".join(f"\n{one['key']}: {'; '.join(one['problems'])}" for one in red)
