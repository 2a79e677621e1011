"""What a deployment can be asked, by the model's kind as its engine sees it. Called by Deployment and dossier."""

from dataclasses import replace
from pathlib import Path

from deployer.engines import ENGINES
from deployer.engines.base import Slot
from deployer.errors import LockfileError
from deployer.execute.endpoint import Endpoint
from deployer.lock.file import read_lock
from deployer.plan.artifacts import model_need
from deployer.spec.models import DeploymentSpec

CHAT = "chat/completions"


def asks(found: Endpoint, root: Path, spec: DeploymentSpec | None) -> Endpoint:
    """The endpoint with what can be asked: route and body of its own question at the start, or a chat where that is a plain
    completion.
    """
    if spec is None:
        return found
    try:
        locked = read_lock(root).models.get(model_need(spec).key)
    except LockfileError:
        return found
    question = ENGINES[spec.engine.name].process(spec, locked, Slot("", 0, 0, (), "")).inference
    route = str(question["path"]).removeprefix("/v1/")
    if route in ("completions", CHAT):
        return found
    return replace(found, asked=route, body=question["body"])
