"""A fleet written from text."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from deployer.errors import Problem, SpecError
from deployer.spec.load import Loaded, load_fleet
from tests.spec.fleets import DEPLOYMENT, FLEET, HOST, SETTINGS

Settings = Mapping[str, type[BaseModel]]


@pytest.fixture(scope="session")
def settings() -> Settings:
    return SETTINGS


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
