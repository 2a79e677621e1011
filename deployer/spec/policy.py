"""A file of `policies/` as a pydantic model: a rule about deployments. Part of models; what pydantic cannot check is in
policychecks.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from deployer.spec.base import Model
from deployer.spec.fields import Line, Name


class PolicySpec(Model):
    """A rule about deployments: those that `match` all of it must be as `require` says."""

    name: Name
    message: Line = Field(description="The rule in words, as who breaks it reads it.")
    hint: Line | None = Field(default=None, description="What to do.")
    level: Literal["deny", "warn"] = Field("deny", description="deny: a plan that breaks it is refused. warn: it is said.")
    match: Mapping[Line, Mapping[str, Any]] = Field(
        default_factory=dict, description="Path of a deployment → JSON Schema. Left out: every deployment."
    )
    require: Mapping[Line, Mapping[str, Any]] = Field(
        min_length=1,
        description="Path of a deployment → JSON Schema.",
        json_schema_extra={"errorMessage": "must ask something, such as {replicas: {minimum: 2}}"},
    )
    exempt: Mapping[Name, Line] = Field(default_factory=dict, description="Deployment that need not keep it → why.")
