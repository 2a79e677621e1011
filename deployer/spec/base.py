"""What every model of the files derives from, and the reference to a secret. Used by spec.models and what belongs to it."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from deployer.spec.fields import EnvName, FilePath, count_given, exactly_one


class Model(BaseModel):
    """The base of everything a user writes; engines' settings derive from it too."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def one_of(model: Any, *names: str) -> None:
    """Raises when not exactly one of these fields was given."""
    if count_given(model, names) != 1:
        raise PydanticCustomError("one_of", "needs exactly one of {names}", {"names": ", ".join(names)})


class SecretRef(Model):
    """Where a secret is found when it is needed. Exactly one of the three. The value is never part of a spec."""

    model_config = ConfigDict(json_schema_extra=exactly_one("env", "file", "command"))

    env: EnvName | None = None
    file: FilePath | None = None  # relative to the fleet
    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "env", "file", "command")
        return self

    @property
    def id(self) -> str:
        """Stable and printable: names the secret in plans and records."""
        if self.env:
            return f"env:{self.env}"
        if self.file:
            return f"file:{self.file}"
        return "command:" + " ".join(self.command or ())
