"""The fleet of the CLI tests, on fake hosts: the real agent, simulated systemd, uv and HAProxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.app.fleet import Fleet
from deployer.transport.fake import FakeHost, FakeTransport
from tests.cli.conftest import fleet

__all__ = ["fleet"]


@pytest.fixture
def hosts(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeHost]:
    found = {name: FakeHost(name, tmp_path / "machines") for name in ("h1", "h2")}
    monkeypatch.setattr("deployer.app.fleet.open_transport", lambda *_: FakeTransport(found))
    return found


@pytest.fixture
def loaded(fleet: Path, hosts: dict[str, FakeHost]) -> Iterator[Fleet]:
    with Fleet.load(fleet) as opened:
        yield opened
