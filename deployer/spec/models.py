"""The fleet as pydantic models: every field of a deployment, a host and `deployer.yaml`.

Strict and frozen; unknown keys are errors. Positions are not here: `spec.load` keeps them beside the models. A field marked
`Later` or `NotYet` has its place but no effect in this version, and is refused.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from deployer.spec.base import Model as Model
from deployer.spec.base import SecretRef as SecretRef
from deployer.spec.base import one_of as one_of
from deployer.spec.fields import (
    AbsolutePath,
    Address,
    CanaryShare,
    Duration,
    FilePath,
    FleetId,
    GitRevision,
    GpuUuid,
    HeaderName,
    HostKey,
    Jump,
    Keep,
    Later,
    Line,
    Name,
    NotYet,
    Port,
    PortRange,
    Proxy,
    Rate,
    Replicas,
    Repo,
    Sha256,
    Share,
    Size,
    Tag,
    Target,
    Url,
    User,
    Wait,
    at_least_one,
    exactly_one,
)
from deployer.spec.gateway import GatewaySpec as GatewaySpec
from deployer.spec.gateway import GatewayTls as GatewayTls
from deployer.spec.gateway import Scrape as Scrape


def _told() -> dict[str, Any]:
    both = {"required": ["command", "headers"], "properties": {"command": {"not": {"type": "null"}}}}
    return {**exactly_one("command", "webhook", "webhook_from"), "not": both}


class Notification(Model):
    """Who is told when an apply has ended: a command, which gets a JSON body on its standard input, or a webhook."""

    model_config = ConfigDict(json_schema_extra=_told())

    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = None
    webhook: Url | None = None
    webhook_from: SecretRef | None = None  # an address that is itself a secret
    headers: Mapping[HeaderName, SecretRef] = Field(default_factory=dict)
    events: Annotated[tuple[Literal["success", "failure", "rollback"], ...], Field(min_length=1)] = (
        "success",
        "failure",
        "rollback",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "command", "webhook", "webhook_from")
        if self.command is not None and "headers" in self.model_fields_set:
            raise PydanticCustomError("needs", "has headers, which only a webhook can take")
        return self


class ModelSpec(Model):
    """What is served. Exactly one of repo (a hub repository), path (a folder of the fleet) and host_path (already there)."""

    model_config = ConfigDict(json_schema_extra=exactly_one("repo", "path", "host_path"))

    repo: Repo | None = None
    revision: GitRevision = "main"
    path: FilePath | None = None  # a folder of the fleet, pushed
    host_path: AbsolutePath | None = None  # already on the host
    accept_license: Line | None = None
    token: SecretRef | None = None
    catalog: Later = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "repo", "path", "host_path")
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


class Placement(Model):
    """Where replicas may stand: named hosts, or hosts with these labels; and how many GPUs each one gets."""

    hosts: tuple[Name, ...] = ()
    labels: Mapping[Line, Line] = Field(default_factory=dict)
    gpus: Annotated[int, Field(ge=0, le=1024)] | None = None  # per replica; None: what the engine settings imply
    spread: Later = None
    avoid: Later = None


class Resources(Model):
    """What one replica may use of its host."""

    cpu: Annotated[float, Field(gt=0, le=65536)] | None = None  # cores
    memory: Size | None = None  # bytes, from "64GiB"


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


class Logging(Model):
    """What is written down of requests: nothing, or who, when, status and duration. Never their text."""

    requests: Annotated[Literal["off", "metadata", "full"], NotYet("full")] = "off"
    sink: Later = None
    sample: Later = None
    redact: Later = None


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
    adapters: Later = None
    handler: Later = None
    env: Later = None
    keep: Keep | None = None  # revisions that hosts remember; the fleet's when not said
    notify: tuple[Notification, ...] = ()


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
    price: Later = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.address is None and self.connection == "ssh":
            raise PydanticCustomError("needs", "needs address (or connection: local)")
        return self


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
    policies: Later = None


class FleetSpec(FleetFile):
    """deployer.yaml, with the hosts and deployments of its folders."""

    hosts: Mapping[str, HostSpec] = Field(default_factory=dict)
    deployments: Mapping[str, DeploymentSpec] = Field(default_factory=dict)
