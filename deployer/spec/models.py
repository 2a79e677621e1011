"""The fleet as pydantic models: every field of a deployment, a host and `deployer.yaml`.

Strict and frozen; unknown keys are errors. Positions are not here: `spec.load` keeps them beside the models.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=40)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SecretRef(Model):
    """Where a secret is found when it is needed. Exactly one of the three. The value is never part of a spec."""

    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    @property
    def id(self) -> str:
        """Stable and printable: names the secret in plans and records."""
        if self.env:
            return f"env:{self.env}"
        if self.file:
            return f"file:{self.file}"
        return "command:" + " ".join(self.command or ())


class ModelSpec(Model):
    repo: str | None = None
    revision: str = "main"
    path: str | None = None  # a folder of the fleet, pushed
    host_path: str | None = None  # already on the host
    accept_license: str | None = None
    token: SecretRef | None = None


class EngineChoice(Model):
    """`engine: {vllm: {...}}` as (name, settings); settings is the engine's own model, checked on loading."""

    name: str
    settings: Any


class Sampling(Model):
    """Defaults for requests that do not say. None: the model's own."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None


class Batch(Model):
    max_size: int | None = None
    max_wait: float | None = None  # seconds, from "5ms"


class Placement(Model):
    hosts: tuple[Name, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    gpus: int | None = None  # per replica; None: what the engine settings imply (0 on a host without GPUs)


class Resources(Model):
    cpu: float | None = None
    memory: int | None = None  # bytes, from "64GiB"


class ApiKey(Model):
    name: str
    sha256: str | None = None
    secret: SecretRef | None = None


class EndpointSpec(Model):
    keys: tuple[ApiKey, ...] = ()
    model_names: tuple[str, ...] = ()
    timeout: float = 60.0  # seconds
    open: bool = False


class Strategy(StrEnum):
    AUTO = "auto"
    BLUE_GREEN = "blue_green"
    ROLLING = "rolling"
    CANARY = "canary"
    RECREATE = "recreate"


class Rollout(Model):
    strategy: Strategy = Strategy.AUTO
    max_parallel: int = 1
    min_healthy: float = 10.0  # seconds
    healthy_deadline: float = 300.0
    auto_revert: bool = True


class Logging(Model):
    requests: Literal["off", "metadata", "full"] = "off"


class DeploymentSpec(Model):
    name: Name
    description: str | None = None
    tags: tuple[str, ...] = ()
    model: ModelSpec
    engine: EngineChoice
    sampling: Sampling = Sampling()
    batch: Batch = Batch()
    replicas: int = 1
    placement: Placement = Placement()
    resources: Resources = Resources()
    endpoint: EndpointSpec = EndpointSpec()
    rollout: Rollout = Rollout()
    logging: Logging = Logging()
    state: Literal["running", "stopped"] = "running"
    protected: bool = False
    previous_names: tuple[Name, ...] = ()


class HostSpec(Model):
    name: Name
    address: str | None = None  # None only with connection: local
    connection: Literal["ssh", "local"] = "ssh"
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    host_key: str | None = None
    identity_file: str | None = None  # relative to the fleet
    sudo: bool = True
    labels: Mapping[str, str] = Field(default_factory=dict)
    ports: tuple[int, int] = (20000, 20999)  # from "20000-20999", both included
    paths: Mapping[Literal["models", "engines"], str] = Field(default_factory=dict)
    gpus: Literal["all"] | tuple[str, ...] | tuple[int, ...] = "all"
    gateway: bool | None = None  # None: it carries endpoints when it has a replica
    hub_url: str | None = None
    index_url: str | None = None
    proxy: str | None = None
    ca: str | None = None
    state: Literal["active", "cordoned", "retired"] = "active"


class GatewayTls(Model):
    certificate: str
    key: SecretRef


class GatewaySpec(Model):
    port: int = 8443
    tls: GatewayTls | None = None
    insecure: bool = False  # plain HTTP off loopback, said aloud
    hosts: tuple[Name, ...] = ()


class Packages(Model):
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    targets: tuple[str, ...] = ("3.11/x86_64/glibc-2.36",)


class FleetSpec(Model):
    """deployer.yaml, with the hosts and deployments of its folders."""

    id: str
    name: Name
    environment: str | None = None
    required_version: str | None = None
    defaults: Mapping[str, Any] = Field(default_factory=dict)
    packages: Packages = Packages()
    gateway: GatewaySpec = GatewaySpec()
    hosts: Mapping[str, HostSpec] = Field(default_factory=dict)
    deployments: Mapping[str, DeploymentSpec] = Field(default_factory=dict)
