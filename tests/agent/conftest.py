"""A simulated host for each test."""

from pathlib import Path

import pytest

from deployer.transport.fake import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost("gpu-01", tmp_path, gpus=2)
