"""The local hub as a fixture: `from tests.hub.fixture import hub` in a conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import LocalHub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """An empty hub that HF_ENDPOINT names; no token of this machine is used."""
    (tmp_path / "hub").mkdir()
    with LocalHub(tmp_path / "hub") as local:
        monkeypatch.setenv("HF_ENDPOINT", local.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        yield local
