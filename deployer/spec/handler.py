"""`handler:` of a deployment: the user's own scripts. What their files hold is found by spec.scripts while loading."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import ConfigDict, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from deployer.spec.base import Model
from deployer.spec.fields import EnvName, FilePath, at_least_one


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """One file as it will lie on a host. `source` is its path in the fleet."""

    path: str
    size: int
    digest: str  # "sha256:<hex>"
    source: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A line of the requirements file: "name==version", with its marker, and the sha256 of each file it may be."""

    requirement: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the paths of a handler lead to. `predictor` and `transformer` are names among `files`."""

    files: tuple[ScriptFile, ...] = ()
    predictor: str | None = None
    transformer: str | None = None
    pins: tuple[Pin, ...] = ()


class HandlerSpec(Model):
    """Scripts of your own: a predictor answers requests in the engine's place, a transformer changes requests and answers."""

    model_config = ConfigDict(json_schema_extra=at_least_one("predictor", "transformer"))

    predictor: Annotated[FilePath | None, Field(description="A file with a class Predictor, or a folder.")] = None
    transformer: Annotated[FilePath | None, Field(description="A file with a class Transformer, or a folder.")] = None
    requirements: Annotated[FilePath | None, Field(description="The packages they need: name==version with hashes.")] = None
    env: Annotated[Mapping[EnvName, str], Field(description="Environment of the scripts; the engine does not get it.")] = Field(
        default_factory=dict
    )
    _found: Found = PrivateAttr(default_factory=Found)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.predictor is None and self.transformer is None:
            raise PydanticCustomError("needs", "needs predictor or transformer")
        return self

    @property
    def found(self) -> Found:
        """Empty until the files were read."""
        return self._found

    def with_found(self, found: Found) -> "HandlerSpec":
        copy = self.model_copy()
        copy._found = found
        return copy
