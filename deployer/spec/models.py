"""The fleet as pydantic models: every field of a deployment here; those of a host and of `deployer.yaml` in files beside this
one, and all of them to be had here.

Strict and frozen; unknown keys are errors. Positions are not here: `spec.load` keeps them beside the models. A field marked
`Later` or `NotYet` has its place but no effect in this version, and is refused.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from deployer.spec.adapter import AdapterSpec as AdapterSpec
from deployer.spec.base import Model as Model
from deployer.spec.base import SecretRef as SecretRef
from deployer.spec.base import one_of as one_of
from deployer.spec.catalog import CatalogEntry as CatalogEntry
from deployer.spec.fields import (
    AbsolutePath,
    CanaryShare,
    CatalogName,
    Duration,
    FilePath,
    GgufFile,
    GitRevision,
    Keep,
    Later,
    Line,
    Name,
    Rate,
    Replicas,
    Repo,
    Sha256,
    Size,
    Tag,
    Wait,
    exactly_one,
)
from deployer.spec.fleetfile import DriftRule as DriftRule
from deployer.spec.fleetfile import DriftSpec as DriftSpec
from deployer.spec.fleetfile import FleetFile as FleetFile
from deployer.spec.fleetfile import GuardSpec as GuardSpec
from deployer.spec.fleetfile import Packages as Packages
from deployer.spec.gateway import GatewaySpec as GatewaySpec
from deployer.spec.gateway import GatewayTls as GatewayTls
from deployer.spec.gateway import Scrape as Scrape
from deployer.spec.handler import HandlerSpec as HandlerSpec
from deployer.spec.host import HostSpec as HostSpec
from deployer.spec.notification import Notification as Notification
from deployer.spec.placement import Placement as Placement
from deployer.spec.policy import PolicySpec as PolicySpec
from deployer.spec.requestlog import Logging as Logging


class ModelSpec(Model):
    """What is served. Exactly one of repo (a hub repository), path (a folder of the fleet), host_path (already there) and catalog
    (an entry's name). Of a catalog, loading makes its repo, and both are here then.
    """

    model_config = ConfigDict(json_schema_extra=exactly_one("repo", "path", "host_path", "catalog"))

    repo: Repo | None = None
    revision: GitRevision = "main"
    path: FilePath | None = None  # a folder of the fleet, pushed
    host_path: AbsolutePath | None = None  # already on the host
    file: GgufFile | None = Field(
        default=None, description="one GGUF file of it, for the engines that serve GGUF; nothing else is fetched"
    )
    accept_license: Line | None = None
    token: SecretRef | None = None
    catalog: CatalogName | None = Field(
        default=None, description="the name of a model of the catalogue (`deployer models`), instead of its repository"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.catalog is None or self.repo is None or self.path is not None or self.host_path is not None:
            one_of(self, "repo", "path", "host_path", "catalog")
        return self


class EngineChoice(Model):
    """`engine: {vllm: {...}}` as (name, settings); settings is the engine's own model, checked on loading."""

    name: str
    settings: Any


class Sampling(Model):
    """Defaults for requests that do not say. None: the model's own."""

    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None


class Batch(Model):
    """How requests are put together."""

    max_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    max_wait: Duration | None = None  # seconds, from "5ms"


class Resources(Model):
    """What one replica may use of its host."""

    cpu: Annotated[float, Field(gt=0, le=65536)] | None = None  # cores
    memory: Size | None = None  # bytes, from "64GiB"
    gpu_memory: Size | None = Field(
        default=None,
        description="What one replica takes of each of its GPUs, cache of a full request included. Counts instead of what a plan "
        "computes: for models that it does not know. It limits nothing.",
    )


class ApiKey(Model):
    """A key that clients send: by its digest (`keys create` writes it), or by reference."""

    model_config = ConfigDict(json_schema_extra=exactly_one("sha256", "secret"))

    name: Tag
    sha256: Sha256 | None = None
    secret: SecretRef | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "sha256", "secret")
        return self


class Queue(Model):
    """Requests wait at the gateway instead of being refused: while every replica has `batch.max_size` of them, and while none
    is up. More than `size` waiting ones, or longer than `timeout`: 503.
    """

    size: Annotated[int, Field(ge=1, le=100000)] = 100
    timeout: Wait = 30.0  # seconds


class EndpointSpec(Model):
    """Who may reach the deployment, and how. Without keys and without `open`, it stays on loopback."""

    keys: tuple[ApiKey, ...] = ()
    model_names: tuple[Line, ...] = ()
    timeout: Wait = 60.0  # seconds
    open: bool = False
    rate_limit: Rate | None = None  # requests of one key (open: of one address) and gateway; (60, 60.0) from "60/m"
    max_body: Size | None = None  # bytes of a request
    queue: Queue | None = None
    affinity: Literal["session", "prefix"] | None = None  # None: where the fewest requests are


class Strategy(StrEnum):
    """How a new revision takes the old one's place."""

    AUTO = "auto"
    BLUE_GREEN = "blue_green"
    ROLLING = "rolling"
    CANARY = "canary"
    RECREATE = "recreate"


class CanarySpec(Model):
    """How the one new process of `strategy: canary` is tried beside the old replicas."""

    share: Annotated[CanaryShare, Field(description="How many of the requests it gets.")] = "10%"
    watch: Duration = Field(600.0, description="How long it is compared with the old ones; 0s: not at all. Default: 10m.")
    promote: Literal["manual", "auto"] = Field("manual", description="auto: by itself when the watch was good.")


class Rollout(Model):
    """How a new revision takes the old one's place."""

    strategy: Strategy = Strategy.AUTO
    max_parallel: int = Field(1, ge=1, le=10000, description="How many replicas rolling replaces at once; never all.")
    min_healthy: Duration = Field(10.0, description="How long a new replica must hold before the old one goes.")
    healthy_deadline: Wait = Field(300.0, description="In what time a new replica must have answered a request.")
    auto_revert: bool = Field(True, description="What fails on one host is taken back on all.")
    progress_deadline: Wait | None = Field(None, description="How long a start may say nothing new; not set: any time.")
    drain_deadline: Wait = Field(300.0, description="How long requests on an old replica may take before it stops.")
    max_failures: Annotated[int, Field(ge=0, le=10000)] | None = Field(
        None, description="Hosts that may fail. When set, unreachable ones count too."
    )
    canary: CanarySpec = CanarySpec()


class DeploymentSpec(Model):
    """One model, served by one engine, under one name."""

    name: Name
    description: str | None = None
    tags: tuple[Tag, ...] = ()
    model: ModelSpec
    engine: EngineChoice
    sampling: Sampling = Sampling()
    batch: Batch = Batch()
    replicas: Replicas = 1
    placement: Placement = Placement()
    resources: Resources = Resources()
    endpoint: EndpointSpec = EndpointSpec()
    rollout: Rollout = Rollout()
    logging: Logging = Logging()
    state: Literal["running", "stopped"] = "running"
    protected: bool = False
    previous_names: tuple[Name, ...] = ()
    adapters: tuple[AdapterSpec, ...] = ()
    handler: HandlerSpec | None = None
    env: Later = None
    keep: Keep | None = None  # revisions that hosts remember; the fleet's when not said
    notify: tuple[Notification, ...] = ()


class FleetSpec(FleetFile):
    """deployer.yaml, with the hosts, deployments and policies of its folders, and its own entries of the catalogue."""

    hosts: Mapping[str, HostSpec] = Field(default_factory=dict)
    deployments: Mapping[str, DeploymentSpec] = Field(default_factory=dict)
    policies: Mapping[str, PolicySpec] = Field(default_factory=dict)
    catalog: Mapping[str, CatalogEntry] = Field(default_factory=dict)
