"""What `deployer.lock` promises: facts about models and engine environments, pinned so that planning needs no network.

The lock stage writes and reads the file (deployer/lock); these are only the values.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deployer.state.canonical import digest


@dataclass(frozen=True, slots=True)
class LockedFile:
    """`digest` is "sha256:<hex>", or "git-sha1:<hex>" (the blob id) for small files a hub knows only that way."""

    path: str
    size: int
    digest: str


def content_digest(files: Iterable[LockedFile]) -> str:
    """One digest over the paths and digests of all files, whatever their order."""
    return digest(sorted([f.path, f.digest] for f in files))


@dataclass(frozen=True, slots=True)
class CacheFacts:
    """What a config.json says about the layers' caches and sizes, under names close to its own; None: it does not say.

    `layer_types` holds one word per layer ("full_attention", "sliding_attention", "linear_attention", "mamba", …; lock.layerkinds
    has those that a config.json writes in another way); sizes are in elements, `window` and `chunk` in tokens. `cache_dtype` is
    what a quantized checkpoint wants its KV cache to be ("fp8").
    """

    text_type: str | None = None  # model_type of the language model itself
    layer_types: tuple[str, ...] = ()
    window: int | None = None
    use_window: bool | None = None
    chunk: int | None = None  # of layers that look at the chunk alone in which a token lies
    window_pattern: int | None = None  # every n-th layer is full
    full_interval: int | None = None  # every n-th layer is full, the others linear
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    global_kv_heads: int | None = None
    global_head_dim: int | None = None
    shared_layers: int | None = None  # the last ones, which read an earlier layer's cache
    index_dim: int | None = None  # of the keys by which a sparse layer chooses tokens
    linear_key_heads: int | None = None
    linear_value_heads: int | None = None
    linear_key_dim: int | None = None
    linear_value_dim: int | None = None
    linear_conv: int | None = None
    encoder_decoder: bool = False
    encoder_positions: int | None = None
    intermediate_size: int | None = None
    expert_intermediate_size: int | None = None
    experts_per_token: int | None = None
    tied: bool | None = None
    keys_are_values: bool | None = None  # full layers: the files hold K's weights once for both
    cache_dtype: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What an adapter_config.json says of a LoRA adapter. `rank`: the highest of its layers. `unusual`: settings under their own
    names that make it more than a plain LoRA ("use_dora", "bias").
    """

    base: str | None = None
    rank: int | None = None
    targets: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """From config.json and the repository's card; None is "the model does not say", never a guess."""

    architectures: tuple[str, ...] = ()
    model_type: str | None = None
    dtype: str | None = None
    context: int | None = None  # tokens
    vocab_size: int | None = None
    hidden_size: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    quantization: str | None = None
    license: str | None = None
    gated: bool = False
    chat_template: bool = False
    weights_bytes: int | None = None
    tensors: tuple[tuple[str, int], ...] = ()  # (type as safetensors names it, bytes), by type; () is "not known"
    cache: CacheFacts | None = None  # None: locked before these were read
    adapter: AdapterFacts | None = None  # it is no model of its own

    def __hash__(self) -> int:
        """Of enough to tell models apart: a plan asks thousands of times about the same few."""
        return hash((self.architectures, self.hidden_size, self.layers, self.weights_bytes))


@dataclass(frozen=True, slots=True)
class LockedModel:
    """`key` is what the YAML says ("hub:org/name@main", "path:models/tiny"); `commit` is None for a folder.

    `digest` covers the paths and digests of all files.
    """

    key: str
    source: str  # "hub" | "path"
    name: str  # org/name, or the folder's path in the fleet
    revision: str | None
    commit: str | None
    digest: str
    files: tuple[LockedFile, ...] = ()
    facts: ModelFacts = ModelFacts()

    @property
    def bytes(self) -> int:
        return sum(f.size for f in self.files)


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """A wheel that the host cannot fetch: it lies in a folder of the controller (find_links) and is pushed."""

    name: str  # file name
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LockedTarget:
    """One environment for one target ("3.11/x86_64/glibc-2.36"). `text` is name==version --hash=… per line."""

    target: str
    file: str  # locks/<environment>.<target>.txt, relative to the fleet
    digest: str  # sha256 of text
    packages: int
    text: str
    wheels: tuple[LockedWheel, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """`name` is "<engine>-<version>" or another name an engine asked for ("ctranslate2-convert-4.8.5", "hub-2.4.0").

    `asked` is a digest of all that was asked: what changes it makes the entry fall behind (EnvironmentNeed.asked).
    """

    name: str
    requirements: tuple[str, ...]  # what was asked
    exclude: tuple[str, ...] = ()
    asked: str = ""
    targets: Mapping[str, LockedTarget] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LockedTool:
    """A program we bring: today uv, pushed from the controller's own installation."""

    name: str
    version: str
    sha256: str
    size: int
    arch: str  # as `uname -m` says it


@dataclass(frozen=True, slots=True)
class Locked:
    models: Mapping[str, LockedModel] = field(default_factory=dict)
    environments: Mapping[str, LockedEnvironment] = field(default_factory=dict)
    tools: Mapping[str, LockedTool] = field(default_factory=dict)
