"""`deployer.yaml` as pydantic models: every field but the gateway's, which is a file of its own. Part of models."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from deployer.spec.base import Model
from deployer.spec.fields import FleetId, Keep, Line, Name, Share, Target, Url, at_least_one
from deployer.spec.gateway import GatewaySpec
from deployer.spec.notification import Notification


class Packages(Model):
    """Where engine packages come from, and for which machines they are locked."""

    index_url: Url | None = None
    extra_index_urls: tuple[Url, ...] = ()
    find_links: tuple[Line, ...] = ()  # addresses, or folders of the controller
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("3.11/x86_64/glibc-2.36",)


class DriftRule(Model):
    """A difference that is left alone. All that is said must fit; a * in `what` stands for anything."""

    model_config = ConfigDict(json_schema_extra=at_least_one("host", "deployment", "what"))

    host: Name | None = None
    deployment: Name | None = None
    what: Line | None = Field(default=None, description="The difference as plan says it; a * stands for anything.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.host is None and self.deployment is None and self.what is None:
            raise PydanticCustomError("needs", "needs host, deployment or what")
        return self


class DriftSpec(Model):
    """What somebody changed on the hosts: put back, but for what is named here."""

    ignore: tuple[DriftRule, ...] = ()


class GuardSpec(Model):
    """What a plan must not do to the whole fleet, unless --allow is given."""

    max_stopped: Annotated[
        Share | None,
        Field(description="How many running replicas may stop without a successor. Default: 50%, from 4 on."),
    ] = None


class FleetFile(Model):
    """`deployer.yaml`: what is true of the whole fleet."""

    id: FleetId
    name: Name
    environment: Name | None = None
    required_version: Line | None = None
    defaults: Mapping[str, Any] = Field(default_factory=dict)
    packages: Packages = Packages()
    gateway: GatewaySpec = GatewaySpec()
    drift: DriftSpec = DriftSpec()
    guard: GuardSpec = GuardSpec()
    keep: Keep = 3  # revisions of each deployment that hosts remember for a rollback; `deployer gc` removes older ones
    notify: tuple[Notification, ...] = ()
