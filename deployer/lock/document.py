"""The shape of deployer.lock, between YAML and `state.locked`. Called by file.py only."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from deployer.state.locked import (
    AdapterFacts,
    CacheFacts,
    Locked,
    LockedEnvironment,
    LockedFile,
    LockedModel,
    LockedTarget,
    LockedTool,
    LockedWheel,
    ModelFacts,
    content_digest,
)

VERSION = 1

_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40,64}$")]
_File = Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64}|git-sha1:[0-9a-f]{40}) \d{1,18}$")]
_Path = Annotated[
    str, StringConstraints(pattern=r"^[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*(/[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*)*$")
]
_Runs = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9_]+(\*[1-9]\d{0,2})?( [a-z0-9_]+(\*[1-9]\d{0,2})?)*)?$", max_length=8192)
]
_Type = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,15}$")]
_Wheel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl$")]


class _Doc(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Cache(_Doc):
    """As CacheFacts; `layer_types` as runs: "sliding_attention*5 full_attention"."""

    text_type: str | None = None
    layer_types: _Runs = ""
    window: int | None = None
    use_window: bool | None = None
    chunk: int | None = None
    window_pattern: int | None = None
    full_interval: int | None = None
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    global_kv_heads: int | None = None
    global_head_dim: int | None = None
    shared_layers: int | None = None
    index_dim: int | None = None
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
    keys_are_values: bool | None = None
    cache_dtype: str | None = None


class _Adapter(_Doc):
    base: str | None = None
    rank: int | None = None
    targets: list[str] = []
    unusual: list[str] = []


class _Facts(_Doc):
    architectures: list[str] = []
    model_type: str | None = None
    dtype: str | None = None
    context: int | None = None
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
    tensors: dict[_Type, Annotated[int, Field(ge=0)]] = {}
    cache: _Cache | None = None
    adapter: _Adapter | None = None


class _Model(_Doc):
    name: str
    revision: str | None = None
    commit: _Commit | None = None
    digest: _Hex
    facts: _Facts = _Facts()
    files: dict[_Path, _File]

    def files_locked(self) -> tuple[LockedFile, ...]:
        parts = ((path, entry.partition(" ")) for path, entry in sorted(self.files.items()))
        return tuple(LockedFile(path, int(size), digest) for path, (digest, _, size) in parts)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if content_digest(self.files_locked()) != self.digest:
            raise ValueError("digest does not match the files below it: the entry was edited")
        return self


class _WheelDoc(_Doc):
    sha256: _Hex
    size: int


class _Target(_Doc):
    file: str
    digest: _Hex
    packages: int
    pushed: dict[_Wheel, _WheelDoc] = {}


class _Environment(_Doc):
    requirements: list[str]
    exclude: list[str] = []
    asked: str
    targets: dict[str, _Target]


class _Tool(_Doc):
    version: str
    arch: str
    sha256: _Hex
    size: int


class Document(_Doc):
    """deployer.lock as it is written."""

    version: Literal[1]
    models: dict[str, _Model] = Field(default_factory=dict)
    environments: dict[str, _Environment] = Field(default_factory=dict)
    tools: dict[str, _Tool] = Field(default_factory=dict)


def decode(document: Document, texts: Mapping[str, str]) -> Locked:
    """`texts`: the content of each locks/*.txt, by its path in the lock."""
    return Locked(
        models={key: _decode_model(key, m) for key, m in document.models.items()},
        environments={name: _decode_environment(name, e, texts) for name, e in document.environments.items()},
        tools={name: LockedTool(name, t.version, t.sha256, t.size, t.arch) for name, t in document.tools.items()},
    )


def _decode_model(key: str, model: _Model) -> LockedModel:
    given = model.facts.model_dump()
    given["architectures"] = tuple(given["architectures"])
    given["tensors"] = tuple(sorted(model.facts.tensors.items()))
    if model.facts.cache is not None:
        kinds = _kinds(model.facts.cache.layer_types)
        given["cache"] = CacheFacts(**{**model.facts.cache.model_dump(), "layer_types": kinds})
    if model.facts.adapter is not None:
        said = model.facts.adapter
        given["adapter"] = AdapterFacts(said.base, said.rank, tuple(said.targets), tuple(said.unusual))
    source = key.partition(":")[0]
    files = model.files_locked()
    return LockedModel(key, source, model.name, model.revision, model.commit, model.digest, files, ModelFacts(**given))


def _decode_environment(name: str, environment: _Environment, texts: Mapping[str, str]) -> LockedEnvironment:
    targets = {
        target: LockedTarget(
            target=target,
            file=t.file,
            digest=t.digest,
            packages=t.packages,
            text=texts[t.file],
            wheels=tuple(LockedWheel(wheel, w.size, w.sha256) for wheel, w in sorted(t.pushed.items())),
        )
        for target, t in environment.targets.items()
    }
    return LockedEnvironment(name, tuple(environment.requirements), tuple(environment.exclude), environment.asked, targets)


def encode(locked: Locked) -> dict[str, Any]:
    """Plain values in the order in which they are written; the same lock gives the same values."""
    return {
        "version": VERSION,
        "models": {key: _encode_model(locked.models[key]) for key in sorted(locked.models)},
        "environments": {name: _encode_environment(locked.environments[name]) for name in sorted(locked.environments)},
        "tools": {name: _encode_tool(locked.tools[name]) for name in sorted(locked.tools)},
    }


def _encode_model(model: LockedModel) -> dict[str, Any]:
    pinned = {"revision": model.revision, "commit": model.commit} if model.commit else {}
    blank = ModelFacts()
    facts = {f.name: value for f in fields(ModelFacts) if (value := getattr(model.facts, f.name)) != getattr(blank, f.name)}
    if model.facts.architectures:
        facts["architectures"] = list(model.facts.architectures)
    if model.facts.tensors:
        facts["tensors"] = dict(sorted(model.facts.tensors))
    if model.facts.cache is not None:
        facts["cache"] = _encode_cache(model.facts.cache)
    if model.facts.adapter is not None:
        facts["adapter"] = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(model.facts.adapter).items() if v}
    files = {f.path: f"{f.digest} {f.size}" for f in sorted(model.files, key=lambda f: f.path)}
    return {"name": model.name, **pinned, "digest": model.digest, "facts": facts, "files": files}


def _encode_cache(cache: CacheFacts) -> dict[str, Any]:
    blank = CacheFacts()
    said = {f.name: value for f in fields(CacheFacts) if (value := getattr(cache, f.name)) != getattr(blank, f.name)}
    if cache.layer_types:
        runs = ((kind, len(list(run))) for kind, run in groupby(cache.layer_types))
        said["layer_types"] = " ".join(f"{kind}*{count}" if count > 1 else kind for kind, count in runs)
    return said


def _kinds(runs: str) -> tuple[str, ...]:
    parts = (run.partition("*") for run in runs.split())
    return tuple(kind for kind, _, count in parts for _ in range(int(count or 1)))


def _encode_environment(environment: LockedEnvironment) -> dict[str, Any]:
    exclude = {"exclude": list(environment.exclude)} if environment.exclude else {}
    targets = {name: _encode_target(environment.targets[name]) for name in sorted(environment.targets)}
    return {"requirements": list(environment.requirements), **exclude, "asked": environment.asked, "targets": targets}


def _encode_target(target: LockedTarget) -> dict[str, Any]:
    wheels = {w.name: {"sha256": w.sha256, "size": w.size} for w in sorted(target.wheels, key=lambda w: w.name)}
    pushed = {"pushed": wheels} if wheels else {}
    return {"file": target.file, "digest": target.digest, "packages": target.packages, **pushed}


def _encode_tool(tool: LockedTool) -> dict[str, Any]:
    return {name: value for name, value in asdict(tool).items() if name != "name"}
