"""A file of `hosts/` as a pydantic model: every field. Part of models."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from deployer.spec.base import Model
from deployer.spec.fields import (
    AbsolutePath,
    Address,
    FilePath,
    GpuUuid,
    HostKey,
    Jump,
    Line,
    Name,
    Port,
    PortRange,
    Price,
    Proxy,
    Url,
    User,
)


def _address_or_local() -> dict[str, Any]:
    local = {"required": ["connection"], "properties": {"connection": {"const": "local"}}}
    return {"anyOf": [{"required": ["address"], "properties": {"address": {"not": {"type": "null"}}}}, local]}


class HostSpec(Model):
    """A machine that serves models, or carries the gateway."""

    model_config = ConfigDict(json_schema_extra=_address_or_local())

    name: Name
    address: Address | None = None  # None only with connection: local
    connection: Literal["ssh", "local"] = "ssh"
    user: User | None = None
    port: Port | None = None
    jump: Jump | None = None
    host_key: HostKey | None = None
    identity_file: FilePath | None = None  # relative to the fleet
    sudo: bool = True
    labels: Mapping[Line, Line] = Field(default_factory=dict)
    ports: PortRange = (20000, 20999)  # from "20000-20999", both included
    paths: Mapping[Literal["models", "engines"], AbsolutePath] = Field(default_factory=dict)
    gpus: Annotated[
        Literal["all"] | tuple[GpuUuid, ...] | tuple[Annotated[int, Field(ge=0, le=1023)], ...],
        Field(json_schema_extra={"errorMessage": "must be all, a list of GPU numbers, or a list of GPU UUIDs"}),
    ] = "all"
    gateway: bool | None = None  # None: it carries endpoints when it has a replica
    hub_url: Url | None = None
    index_url: Url | None = None
    proxy: Proxy | None = None
    ca: FilePath | None = None
    state: Literal["active", "cordoned", "drained", "retired"] = "active"
    price: Price | None = Field(None, description="Of one GPU for an hour; plans and status say what that costs a month.")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.address is None and self.connection == "ssh":
            raise PydanticCustomError("needs", "needs address (or connection: local)")
        return self
