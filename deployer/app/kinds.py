"""What a deployment can be asked, by the model's kind as its engine sees it. Called by Deployment."""

from pathlib import Path

from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.errors import LockfileError
from deployer.lock.file import read_lock
from deployer.plan.artifacts import model_need
from deployer.spec.models import DeploymentSpec

CHAT = "chat/completions"


def asked(root: Path, spec: DeploymentSpec | None) -> str:
    """A route below /v1: what its own question at the start asks, or a chat where that is a plain completion."""
    if spec is None:
        return CHAT
    try:
        locked = read_lock(root).models.get(model_need(spec).key)
    except LockfileError:
        return CHAT
    process = ENGINES[spec.engine.name].process(spec, locked, Slot("", 0, 0, (), ""))
    route = str(process.inference["path"]).removeprefix("/v1/")
    return CHAT if route in ("completions", CHAT) else route
