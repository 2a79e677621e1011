"""`engine: {ctranslate2: {…}}` as a model. Read by spec.load through `settings_models`, used by engines.ctranslate2."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from deployer.engines.settings import Requirement, Version
from deployer.spec.models import DeploymentSpec, Model

TESTED = "4.8.5"
_LANGUAGE = r"^[A-Za-z][A-Za-z0-9_-]*$"

Quantization = Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"]


class CTranslate2Settings(Model):
    """`engine: {ctranslate2: {…}}`. `quantization` left out keeps the model's own type."""

    version: Version | None = Field(default=None, description=f"of the package ctranslate2; left out: {TESTED}")
    quantization: Quantization | None = Field(
        default=None, description="how weights are stored after the conversion: int8 is half of float16; left out: as they are"
    )
    kind: Literal["auto", "generator", "encoder", "translator", "whisper"] = Field(
        default="auto", description="what the model is for; auto: as its config.json names it. Say it for one already converted"
    )
    compute_type: Quantization | Literal["default", "auto"] = Field(
        default="default", description="what it computes in; default: as the weights are stored, auto: the fastest there is"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: GPUs when it is given some, else the CPU")
    inter_threads: int = Field(default=1, ge=1, description="batches that are worked on at the same time")
    intra_threads: int = Field(default=0, ge=0, description="CPU threads for one batch; 0: as many as there are cores")
    max_model_len: int | None = Field(
        default=None,
        ge=1,
        description="tokens of prompt and answer together, or of a text to embed; left out: the model's own",
    )
    pooling: Literal["cls", "mean", "max", "mean_sqrt_len", "weightedmean", "lasttoken"] | None = Field(
        default=None, description="of an encoder: how tokens become one vector; left out: as the repository's modules.json says"
    )
    normalize: bool | None = Field(
        default=None, description="of an encoder: vectors of length 1; left out: as the repository's modules.json says"
    )
    source_language: str | None = Field(
        default=None, pattern=_LANGUAGE, description="of a translator: of requests that do not name one, as the model writes it"
    )
    target_language: str | None = Field(
        default=None, pattern=_LANGUAGE, description="of a translator: of requests that do not name one, as the model writes it"
    )
    max_queue: int = Field(default=256, ge=1, description="requests that may wait; more are refused with 429")
    env: Mapping[str, str] = Field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    exclude: tuple[Requirement, ...] = ()
    index_url: str | None = None

    @property
    def pinned(self) -> str:
        return self.version or TESTED


def settings_of(deployment: DeploymentSpec) -> CTranslate2Settings:
    settings = deployment.engine.settings
    assert isinstance(settings, CTranslate2Settings)
    return settings
