from pathlib import Path

import pytest

from tests.hub.fixture import hub
from tests.lock.wheelhouse import no_package_settings

__all__ = ["hub"]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where nobody configured pip or uv."""
    no_package_settings(monkeypatch, tmp_path)
