"""A fleet written from text, and engines' settings that are small enough to read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from deployer.errors import Problem, SpecError
from deployer.spec.load import Loaded, load_fleet
from deployer.spec.models import Model

Settings = Mapping[str, type[BaseModel]]
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


@pytest.fixture(scope="session")
def settings() -> Settings:
    return {"vllm": VllmSettings, "ctranslate2": CTranslate2Settings}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    def write(files: dict[str, str]) -> Path:
        for name, text in {"deployer.yaml": FLEET, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return tmp_path

    return write


@pytest.fixture
def load(write: Callable[[dict[str, str]], Path], settings: Settings) -> Callable[[dict[str, str]], Loaded]:
    return lambda files: load_fleet(write(files), settings)


@pytest.fixture
def wrong(load: Callable[[dict[str, str]], Loaded]) -> Callable[[dict[str, str]], list[Problem]]:
    """The problems of a fleet that must have some."""

    def wrong(files: dict[str, str]) -> list[Problem]:
        with pytest.raises(SpecError) as caught:
            load(files)
        return list(caught.value.problems)

    return wrong


@pytest.fixture
def deployment(wrong: Callable[[dict[str, str]], list[Problem]]) -> Callable[[str], Problem]:
    """The one problem of a deployment that is right but for these lines."""

    def deployment(lines: str) -> Problem:
        [problem] = wrong({"deployments/chat.yaml": DEPLOYMENT + lines})
        return problem

    return deployment


@pytest.fixture
def host(wrong: Callable[[dict[str, str]], list[Problem]]) -> Callable[[str], Problem]:
    def host(lines: str) -> Problem:
        [problem] = wrong({"hosts/gpu-01.yaml": HOST + lines})
        return problem

    return host
