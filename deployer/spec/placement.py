"""`placement` of a deployment: where its replicas may stand, and what GPUs they get. Part of models."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from deployer.spec.base import Model
from deployer.spec.fields import GpuShare, Line, Name, Size


class Placement(Model):
    """Where replicas may stand: named hosts, or hosts with these labels; on which GPUs, how many each; and beside whom."""

    hosts: tuple[Name, ...] = ()
    labels: Mapping[Line, Line] = Field(default_factory=dict)
    gpus: Annotated[int, Field(ge=0, le=1024)] | None = None  # per replica; None: what the engine settings imply
    gpu: Line | None = Field(None, description="Words of the GPU's name as its driver says it: H100, RTX 4090, MIG 1g.10gb.")
    gpu_memory: Size | None = Field(None, description="What each of its GPUs has at least.")
    gpu_share: GpuShare | None = Field(
        None, description="How much of each of its GPUs it gets, such as 30%: others with a share may have the rest."
    )
    strategy: Literal["spread", "pack"] = Field(
        "spread", description="spread: the emptiest host. pack: the fullest one, so that whole hosts stay free."
    )
    spread_by: Line = Field("host", description="host, or a label such as rack: its replicas go where the fewest of them are.")
    apart: Line | None = Field(None, description="host, or a label such as rack: no two of its replicas stand on the same one.")
    apart_from: tuple[Name, ...] = Field((), description="Deployments that none of its replicas shares a host with.")

    @property
    def share(self) -> int | None:
        """Of each of its GPUs, in percent; None: they are its alone."""
        return None if self.gpu_share is None else int(self.gpu_share[:-1])
