"""Where a lab cannot run, a person reads why."""

import os
import platform
import shutil
from pathlib import Path

import pytest

from deployer.errors import DeployerError
from deployer.lab import lab, machine_settings, needs, places


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "deployer.yaml").write_text("id: 1\nname: x\n")
    return tmp_path


def test_not_on_linux(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(DeployerError, match="a lab needs Linux.*this is Darwin"):
        lab.up(fleet, 1)
    assert [p.name for p in fleet.iterdir()] == ["deployer.yaml"]


def test_not_without_root(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DeployerError, match="a lab needs root") as e:
        lab.up(fleet, 1)
    assert "sudo" in str(e.value.hint)


def test_without_apt_the_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in ("debootstrap", "apt-get") else f"/bin/{tool}")
    with pytest.raises(DeployerError, match="needs these packages on this machine: debootstrap"):
        needs.install_tools(lambda _: None, compiler=False)


def test_two_checkouts_of_one_name_have_two_labs(tmp_path: Path) -> None:
    for folder in ("a/fleet", "b/fleet"):
        (tmp_path / folder).mkdir(parents=True)
    keys = {places.lab_key(tmp_path / folder) for folder in ("a/fleet", "b/fleet")}
    assert len(keys) == 2
    assert places.lab_key(tmp_path / "a/../a/fleet") in keys


def test_a_fleet_without_a_lab(fleet: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert lab.list_hosts(fleet) == []
    assert lab.down(fleet) is False
    with pytest.raises(DeployerError, match="this fleet has no lab"):
        lab.reboot(fleet, "lab-1")


def test_hosts_never_get_a_name_server_of_the_machines_own_loopback() -> None:
    for line in machine_settings.resolv_conf().splitlines():
        assert not line.startswith("nameserver 127.")
