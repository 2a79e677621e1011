"""What an engine must answer. An engine is one file here, one line in `ENGINES`, one test file and one example; it is
pure, and plan, execute and tui never ask which one it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from deployer.spec.models import DeploymentSpec
from deployer.state.locked import LockedModel
from deployer.state.needs import EnvironmentNeed
from deployer.state.resources import Scalar


@dataclass(frozen=True, slots=True)
class Complaint:
    """A setting this engine would swallow, refuse or misread. `path` leads to it from the deployment's root. `at_key`: it is the
    name that is wrong, not the value.
    """

    path: tuple[str | int, ...]
    message: str
    hint: str | None = None
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """A model made on a host from another one, the same for all hosts. `argv` may hold {source} and {target}; digest covers all
    inputs.
    """

    environment: str  # name of an EnvironmentNeed
    argv: tuple[str, ...]
    name: str  # for people: "int8"
    inputs: Mapping[str, Scalar]
    disk_factor: float  # size of the result as a share of the source's
    memory_factor: float  # what it takes in memory at its peak, as a share of the source's size
    memory_base: int = 0  # and besides, for the program itself, in bytes
    nested: tuple[str, ...] = ()  # files of the source that keep their place in folders beside the result


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter beside the model. `path` is its folder on the host, `revision` is for people, `rank` None when unknown."""

    name: str
    path: str
    revision: str
    rank: int | None = None


class Slot(NamedTuple):
    """Where one replica stands, and the adapters that lie there for it, in the order of the YAML."""

    host: str
    number: int
    port: int
    gpus: tuple[str, ...]  # UUIDs
    arch: str
    adapters: tuple[Adapter, ...] = ()
    address: str = "127.0.0.1"  # where it listens: another one when our handler stands before it


class ConfigFile(NamedTuple):
    """Handed to the unit with LoadCredential as `name`; `{credentials}` in argv and env is the directory."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class FailurePattern:
    """A line the engine writes when it fails, and what that means. `hint` begins with a field of the YAML and ": value". Both
    texts may use the pattern's named groups, and {one/other}: two of them divided, two digits, never rounded up.

    `beside`: another line of the same start must match too, such as the frame of a traceback that says when it happened.
    """

    regex: str
    cause: str
    hint: str | None = None
    beside: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """As the agent is told."""
        told = {"regex": self.regex, "cause": self.cause, "hint": self.hint}
        return told if self.beside is None else {**told, "beside": self.beside}


@dataclass(frozen=True, slots=True)
class Phase:
    """A line that shows how far a start is. Named groups `done` and `total` make it a progress."""

    regex: str
    phase: str

    def as_json(self) -> dict[str, str]:
        """As the agent is told."""
        return {"regex": self.regex, "phase": self.phase}


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of a start that says something of memory: the group `number`, times `scale`, is bytes of `name` ("weights", "cache",
    "overhead"), or "tokens" of the whole cache, or "concurrency". Of several lines the last counts, or as `fold` says: "sum" of
    buffers, "max" and "min" of ranks.
    """

    regex: str
    name: str
    scale: int = 1
    fold: str = ""

    def as_json(self) -> dict[str, str | int]:
        """As the agent is told."""
        return {"regex": self.regex, "name": self.name, "scale": self.scale, "fold": self.fold}


class LogPatterns(NamedTuple):
    """What the lines that an engine writes while it starts mean: how far it is, why it failed, what it takes of memory.
    `shared`: the failures where placement.gpu_share says what it may take, if that is said in other words.
    """

    phases: tuple[Phase, ...] = ()
    failures: tuple[FailurePattern, ...] = ()
    figures: tuple[Figure, ...] = ()
    shared: tuple[FailurePattern, ...] = ()


class Check(NamedTuple):
    """How an engine can be asked about its options before it starts: `checker` is a script of the agent's (steps/enginecheck.py),
    `text` what it is told, the same for all replicas; it may hold {model}.
    """

    checker: str
    text: str
    env: Mapping[str, str]


class Process(NamedTuple):
    """What the unit runs. `{env}` environment directory, `{model}` model directory, `{credentials}`, `{cache}`, `{serve}`
    (the archive of our server) are replaced by engines.launch in argv, env and the files' content; everything else is
    literal, and quoted by the renderer.

    `runtime` are the attributes a person sees in a diff; a change of one needs a new process, and nothing else does: all
    that the user can set and the process can feel must be in it. `inference` and `ready_path` are asked on loopback.
    `start_timeout_s` bounds one start, restarts at boot included; how long an apply waits is the rollout's matter.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: tuple[ConfigFile, ...]
    runtime: Mapping[str, Scalar]
    ready_path: str  # GET, 200 when it may be asked
    inference: Mapping[str, Any]  # {"path", "body"}: a POST that must answer 200 with a completion
    paths: tuple[str, ...]  # what a client may reach: "/v1/chat/completions", …
    start_timeout_s: float
    stop_timeout_s: float
    stop_signal: str
    sources: Mapping[str, tuple[str | int, ...]] = {}  # runtime name → path in the YAML
    secrets: Mapping[str, str] = {}  # name in `{credentials}` → the secret's id
    logs: bool = False  # it writes files of its own, in `{handler_logs}`
    talkative: bool = False  # journald must not leave out lines of it
    check: Check | None = None  # None: it cannot be asked


class Engine(Protocol):
    """All methods are pure. `settings` is the validated `engine.<name>` mapping, an instance of `Settings`."""

    name: str
    about: str  # one line for a person who chooses an engine
    Settings: type[BaseModel]
    serve: bool  # it runs our own server, deployer/serve, which travels as one archive (a tool)
    log: LogPatterns

    def complaints(self, deployment: DeploymentSpec) -> Sequence[Complaint]: ...

    def environments(self, deployment: DeploymentSpec) -> Sequence[EnvironmentNeed]:
        """The first one serves; others are for conversions."""

    def gpus(self, deployment: DeploymentSpec) -> int:
        """How many GPUs one replica wants when the placement does not say; 0: it runs on the CPU."""

    def packages(self, deployment: DeploymentSpec) -> Sequence[str]:
        """Packages of the operating system that it cannot do without, out of wire.PACKAGES: a compiler, a library."""

    def check_model(self, deployment: DeploymentSpec, model: LockedModel) -> Sequence[Complaint]: ...

    def conversion(self, deployment: DeploymentSpec, model: LockedModel) -> Conversion | None: ...

    def process(self, deployment: DeploymentSpec, model: LockedModel | None, slot: Slot) -> Process: ...


@runtime_checkable
class ChecksGpus(Protocol):
    """What an engine has besides, when not every GPU can compute what it is asked to."""

    def check_gpu(self, deployment: DeploymentSpec, model: LockedModel | None, gpu: str, capability: str) -> Sequence[Complaint]:
        """`gpu`: its name; `capability` as in "9.0"."""


@runtime_checkable
class TakesFiles(Protocol):
    """What an engine that serves one file of a model (`model.file`) has besides."""

    file_suffix: str


@runtime_checkable
class Lacking(Protocol):
    """What an engine has besides, when it refuses requests that others take: said when a deployment comes to it from another."""

    def lacks(self, deployment: DeploymentSpec, model: LockedModel | None) -> Sequence[Complaint]:
        """What is refused, and which engine does it."""


@runtime_checkable
class RunsPrograms(Protocol):
    """What an engine has besides, when a program of the host itself may serve. It may then have no environment."""

    def programs(self, deployment: DeploymentSpec) -> Sequence[str]:
        """Paths of what must be on the host already; a plan is refused where it is not."""


@runtime_checkable
class TakesAdapters(Protocol):
    """What an engine has besides, when it can serve LoRA adapters beside the model. A running one must take another list over
    its API as the step unit.adapters knows it.
    """

    def check_adapter(
        self, deployment: DeploymentSpec, number: int, base: LockedModel | None, adapter: LockedModel
    ) -> Sequence[Complaint]:
        """Adapter `number` of the YAML against the model (None: it lies on the host already)."""


@runtime_checkable
class Versioned(Protocol):
    """An engine that knows its options version by version."""

    def ending(self, deployment: DeploymentSpec) -> Sequence[Complaint]:
        """Options in use that a coming version drops."""

    def upgraded(self, deployment: DeploymentSpec, before: str) -> Sequence[Complaint]:
        """What is different for this deployment since version `before` of the engine."""
