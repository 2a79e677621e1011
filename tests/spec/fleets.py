"""Small files of a fleet, and engines' settings that are small enough to read."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from deployer.spec.models import Model

FLEET = 'id: "7f3a9c21"\nname: acme\n'
HOST = "name: gpu-01\naddress: 10.0.0.11\n"
DEPLOYMENT = "name: chat\nmodel: {repo: org/tiny}\nengine: {vllm: {}}\n"


class VllmSettings(Model):
    version: str | None = None
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    dtype: Literal["auto", "float16", "bfloat16"] = "auto"
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    args: Mapping[str, str | int | float | bool] = Field(default_factory=dict)


class CTranslate2Settings(Model):
    version: str | None = None
    quantization: str = "int8"


SETTINGS = {"vllm": VllmSettings, "ctranslate2": CTranslate2Settings}
