"""`placement` of GPUs against what an engine does with them. Called by app.checking. Pure."""

from collections.abc import Iterator

from deployer.engines.base import Complaint
from deployer.engines.memory import CAST, SLOTS, memory_settings
from deployer.spec.models import DeploymentSpec

_HERE = ("placement", "gpu_share")


def complaints(deployment: DeploymentSpec, implied: int) -> Iterator[Complaint]:
    """`implied`: the GPUs that the engine's settings imply."""
    rules = deployment.placement
    gpus = implied if rules.gpus is None else rules.gpus
    for name, said in () if gpus else (("gpu", rules.gpu), ("gpu_memory", rules.gpu_memory)):
        if said is not None:
            what = f"placement.{name} has no effect: this replica gets no GPU"
            yield Complaint(("placement", name), what, "leave it out, or give it a GPU")
    if rules.gpu_share is None:
        return
    if not gpus:
        yield Complaint(_HERE, "gpu_share is a share of a GPU, and this replica gets none", "leave it out, or give it a GPU")
        return
    settings = memory_settings(deployment)
    if gpus > 1 and settings is not None and settings.scheme in (CAST, SLOTS):
        what = f"{deployment.engine.name} spreads a model over {gpus} GPUs by what is free, and would not keep to a share of each"
        yield Complaint(_HERE, what, "a share of one GPU (placement: {gpus: 1}), or whole ones")
