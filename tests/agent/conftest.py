"""A simulated host for each test."""

import os
from pathlib import Path

import pytest

from deployer.transport.fake import FakeHost


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost("gpu-01", tmp_path, gpus=2)
