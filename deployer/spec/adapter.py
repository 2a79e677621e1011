"""`adapters` of a deployment: LoRA adapters that are served beside the model."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from deployer.spec.base import Model, SecretRef, one_of
from deployer.spec.fields import FilePath, GitRevision, Line, Repo, Tag, exactly_one


class AdapterSpec(Model):
    """A LoRA adapter. Clients reach it by sending its name as the model. Exactly one of repo and path."""

    model_config = ConfigDict(json_schema_extra=exactly_one("repo", "path"))

    name: Annotated[Tag, Field(description="What clients send as the model.")]
    repo: Repo | None = None
    revision: GitRevision = "main"
    path: Annotated[FilePath | None, Field(description="A folder of the fleet, pushed.")] = None
    base: Annotated[Line | None, Field(description="What it was trained on, when that is another model and meant so.")] = None
    token: Annotated[SecretRef | None, Field(description="Default: the model's.")] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "repo", "path")
        return self
