"""The operations of the matrix: each moves the fleet's files from one good state to another, and back again the next time, so
that a cell begins where the one before it converged. Used by matrix.py.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployer.app.fleet import Fleet
from deployer.app.planned import Planned
from deployer.plan.world import Options

KEY = "a key that opens the door of a test"
SUBJECT = "phoenix"  # what is created, updated, destroyed
KEEPER = "keeper"  # what nobody asks anything of, and must never notice


@dataclass
class Files:
    """The fleet's files as the next plan shall find them. `held`: a rollback has to be released before they count again."""

    root: Path
    host: str
    length: int = 512
    model: str = "tiny-a"
    timeout: int = 60
    there: bool = True
    strategy: str = "recreate"
    replicas: int = 1
    held: bool = False

    def write(self) -> None:
        self._write(KEEPER, "tiny-a", 448, "open: true, timeout: 60s")
        if self.there:
            key = hashlib.sha256(KEY.encode()).hexdigest()
            endpoint = f"keys: [{{name: client, sha256: {key}}}], timeout: {self.timeout}s"
            self._write(SUBJECT, self.model, self.length, endpoint, f"replicas: {self.replicas}\n", self.strategy)
        else:
            (self.root / f"deployments/{SUBJECT}.yaml").unlink(missing_ok=True)

    def _write(self, name: str, model: str, length: int, endpoint: str, more: str = "", strategy: str = "auto") -> None:
        folder = self.root / "deployments"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(
            f"name: {name}\nmodel: {{path: models/{model}}}\n"
            f"engine: {{ctranslate2: {{device: cpu, quantization: float32, max_model_len: {length}}}}}\n"
            f"endpoint: {{{endpoint}}}\nplacement: {{hosts: [{self.host}]}}\n{more}"
            f"rollout: {{strategy: {strategy}, min_healthy: 1s, healthy_deadline: 15s}}\n"
        )


@dataclass(frozen=True)
class Operation:
    """`needs`: whether the subject must be there before it, `replicas` how many of it. `serves`: whether it answers before and
    after (so that it has to go on answering where the strategy promises it). `back`: it is a rollback, not a change of files.
    `stages`: only steps of these have cells; the others are those of another operation.
    """

    name: str
    change: Callable[[Files], None]
    needs: bool = True
    serves: bool = True
    new_model: bool = False
    strategy: str = "recreate"
    replicas: int = 1
    back: bool = False
    stages: tuple[str, ...] | None = None

    def plan(self, fleet: Fleet) -> Planned:
        """What it wants now."""
        return fleet.rollback(SUBJECT) if self.back else plan(fleet)


def plan(fleet: Fleet, *, release: bool = False) -> Planned:
    """What the files want now; the subject's own removal is approved."""
    gone = () if SUBJECT in fleet.spec.deployments else (SUBJECT,)
    return fleet.plan(Options(prune_approved=gone, release=(SUBJECT,) if release else (), allow=True))


def _create(files: Files) -> None:
    files.there = True


def _destroy(files: Files) -> None:
    files.there = False


def update(files: Files) -> None:
    files.length = 640 if files.length == 512 else 512


def _model(files: Files) -> None:
    files.model = "tiny-b" if files.model == "tiny-a" else "tiny-a"


def _route(files: Files) -> None:
    files.timeout = 61 if files.timeout == 60 else 60


def _back(files: Files) -> None:
    files.held = True


#: In an order in which each finds what it needs where the one before it left off.
OPERATIONS = {
    one.name: one
    for one in (
        Operation("create", _create, needs=False, serves=False),
        Operation("update in place", update),
        Operation("update beside", update, strategy="blue_green"),
        Operation("update of the model", _model, new_model=True, stages=("artifacts",)),  # then it is an update in place
        Operation("gateway change", _route),
        Operation("rollback", _back, strategy="blue_green", back=True),
        Operation("update in turn", update, strategy="rolling", replicas=2),
        Operation("destroy", _destroy, serves=False),
    )
}
