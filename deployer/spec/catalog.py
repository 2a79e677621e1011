"""A file of `catalog/` as a pydantic model: one model that people deploy, with what its publisher says of it. Part of models;
where entries lie and how a deployment names one is in shelf.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from deployer.spec.base import Model
from deployer.spec.fields import CatalogName, FileSize, Line, Parameters, Repo, Url

Kind = Literal["chat", "code", "vision", "embedding", "reranking", "translation", "speech"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: What of an entry a source can stand for.
Fact = Literal["license", "gated", "parameters", "active", "weights", "size", "context", "config", "quantized", "engines"]
FACTS: tuple[Fact, ...] = get_args(Fact)
_TIMES = {"M": 10**6, "B": 10**9, "T": 10**12}
_BYTES = {"M": 10**6, "G": 10**9, "T": 10**12}


def number(written: str) -> int:
    """ "8.2B" → 8 200 000 000: as exact as it is written."""
    return int(Decimal(written[:-1]) * _TIMES[written[-1]])


def size_of(written: str) -> int:
    """ "16.4GB" → 16 400 000 000 bytes, as the hub counts."""
    return int(Decimal(written[:-2]) * _BYTES[written[-2]])


class CatalogSource(Model):
    """Where facts of the entry stand."""

    url: Url
    says: tuple[Fact, ...] = Field(min_length=1, description="What of this entry stands there.")
    read: bool = Field(True, description="false: it is where they should stand, and nobody has looked; deployer.lock reads them.")


class CatalogVariant(Model):
    """The same model, quantized by somebody, in a repository of its own."""

    repo: Repo
    method: Line = Field(description="fp8, awq, gptq, gguf, …")


class CatalogEntry(Model):
    """One model that people deploy. What is not known is left out: deployer.lock reads it from the model's files."""

    name: CatalogName
    about: Line = Field(description="What it is, in a sentence.")
    kind: Kind
    repo: Repo
    license: Line | None = Field(default=None, description="As the hub names it: apache-2.0, llama3.1, other, …")
    gated: bool | None = Field(default=None, description="true: the hub gives it only to who has accepted its licence there.")
    parameters: Parameters | None = Field(default=None, description="All of them: 8.2B, 335M.")
    active: Parameters | None = Field(default=None, description="Of a mixture of experts: those that a token uses.")
    weights: Literal["float32", "float16", "bfloat16", "fp8", "mxfp4", "int4"] | None = Field(
        default=None, description="The type in which its repository holds them."
    )
    size: FileSize | None = Field(
        default=None, description="Of the files that hold its weights: 16.4GB. Where parameters times their type is not that."
    )
    context: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(default=None, description="Tokens of one request.")
    config: Mapping[Line, Any] = Field(default_factory=dict, description="Lines of its config.json, as they stand there.")
    engines: Mapping[Line, Any] = Field(
        min_length=1, description="Engine → settings to begin with, as a deployment writes them; the best one first."
    )
    quantized: tuple[CatalogVariant, ...] = ()
    guidance: tuple[Line, ...] = Field(default=(), description="Which engine when, and what to mind.")
    sources: tuple[CatalogSource, ...] = ()
