"""Who is told when an apply has ended: in deployer.yaml of all, in a deployment of its own. Part of models."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from deployer.spec.base import Model, SecretRef, one_of
from deployer.spec.fields import HeaderName, Url, exactly_one


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
